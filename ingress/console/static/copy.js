// <button data-copy="ID" hidden> copies the text of the element with this id.
const SHOWN_MS = 2000;

export function copyButtons(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("button[data-copy]")) {
    const name = [...button.childNodes];
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        button.textContent = "Copied";
        say("Copied.");
      } catch {
        button.textContent = "Not allowed";
        say("The browser does not allow copying: select the text instead.");
      }
      setTimeout(() => { button.replaceChildren(...name); }, SHOWN_MS);
    });
  }
}

// For who does not see the button change.
function say(text) {
  let region = document.getElementById("said");
  if (!region) {
    region = document.createElement("p");
    region.id = "said";
    region.className = "visually-hidden";
    region.setAttribute("role", "status");
    document.body.append(region);
  }
  region.textContent = text;
}
