// The receipt of an event, over the page that goes on passing; without this it is a page of its own.
import { cardOf, showCard } from "./dialogs.js";

export async function openFound(address) {
  const card = await fetch(address, { redirect: "manual" }).then(cardOf).catch(() => null);
  if (!card) {
    location.assign(address);
    return;
  }
  card.querySelector("[data-cancel]").textContent = "Close";
  showCard(card);
}
