// The receipt of an event, over the page that goes on passing; without this it is a page of its own.
export async function openFound(address) {
  const card = await cardAt(address).catch(() => null);
  if (!card) {
    location.assign(address);
    return;
  }
  const dialog = document.createElement("dialog");
  const heading = card.querySelector("h1");
  heading.id = "found-heading";
  dialog.setAttribute("aria-labelledby", heading.id);
  dialog.append(card);
  document.body.append(dialog);
  const close = card.querySelector("[data-cancel]");
  close.textContent = "Close";
  close.addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}

async function cardAt(address) {
  const answer = await fetch(address, { redirect: "manual" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.querySelector("main > section.card");
}
