// <a href data-dialog> leads to a page with one section.card; here it opens over the page that it was pressed on.
export function dialogLinks(root) {
  for (const link of root.querySelectorAll("a[data-dialog]")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      open(link);
    });
  }
}

async function open(link) {
  // The password is asked for first, or something is wrong: the page itself says it.
  const whole = (response) => (response.ok && !response.redirected ? cardOf(response) : null);
  const card = await fetch(link.href).then(whole).catch(() => null);
  if (card) showCard(card);
  else location.assign(link.href);
}

// The one card of a page; null where it has none.
export async function cardOf(response) {
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return page.querySelector("main > section.card");
}

// A card over the page, named by its heading; [data-cancel], Escape or a press beside it closes it.
export function showCard(card) {
  const dialog = document.createElement("dialog");
  const heading = card.querySelector("h1");
  heading.id = "dialog-heading";
  dialog.setAttribute("aria-labelledby", heading.id);
  dialog.append(card);
  document.body.append(dialog);
  for (const cancel of dialog.querySelectorAll("[data-cancel]")) {
    cancel.addEventListener("click", (event) => {
      event.preventDefault();
      dialog.close();
    });
  }
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}
