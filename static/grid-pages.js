// Pages of the grid that a browser kept while somebody was elsewhere.
const { url } = document.getElementById("images").dataset;
const byId = (id) => document.getElementById(id);

// Back from an editor to a page that the browser kept: the captions written meanwhile count.
async function refresh(part) {
  const answer = await fetch(`${url}/grid?after=${part.dataset.after}`, { headers: { "HX-Request": "true" } });
  if (!answer.ok) return;
  const made = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".grid-page");
  const others = [...document.querySelectorAll(".grid-page")].filter((each) => each !== part);
  for (const tile of [...made.children]) if (others.some((each) => each.querySelector(`#${tile.id}`))) tile.remove();
  const focused = part.contains(document.activeElement) ? document.activeElement.closest(".image-tile")?.id : null;
  part.replaceWith(document.adoptNode(made));
  if (focused) byId(focused)?.querySelector("a").focus({ preventScroll: true });
}

addEventListener("pageshow", async (event) => {
  if (!event.persisted) return;
  window.htmx.trigger(document.body, "images-changed");
  for (const part of document.querySelectorAll(".grid-page")) await refresh(part);
});
