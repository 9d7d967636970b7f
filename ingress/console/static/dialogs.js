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
  const card = await fetchCard(link.href).catch(() => null);
  if (!card) {
    // The password is asked for first, or something is wrong: the page itself says it.
    location.assign(link.href);
    return;
  }
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

async function fetchCard(address) {
  const response = await fetch(address);
  if (!response.ok || response.redirected) return null;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return page.querySelector("main > section.card");
}
