// A pair of alike images: both are looked at closely at the same spot, and the next pair is fetched ahead.
const SCALE = 3;
const twins = () => document.getElementById("twins");

// Of a mirrored pair the other image is looked at where the same thing is.
function look(x, y, here = null) {
  for (const image of twins()?.querySelectorAll(".twin-stage img") ?? []) {
    const isTurned = twins().hasAttribute("data-mirrored") && here && here !== image;
    image.style.transformOrigin = `${(isTurned ? 1 - x : x) * 100}% ${y * 100}%`;
    image.style.transform = `scale(${SCALE})`;
  }
}

function away() {
  twins()?.classList.remove("close");
  for (const image of twins()?.querySelectorAll(".twin-stage img") ?? []) image.style.transform = "";
}

function toggle(x, y, here = null) {
  if (!twins()) return;
  if (twins().classList.contains("close")) return away();
  twins().classList.add("close");
  look(x, y, here);
}

function spot(event) {
  const box = event.target.closest(".twin-stage").getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

document.addEventListener("click", (event) => {
  if (event.target.closest("#twins-zoom")) toggle(0.5, 0.5);
  else if (event.target.matches(".twin-stage img")) toggle(...spot(event), event.target);
});

document.addEventListener("pointermove", (event) => {
  if (twins()?.classList.contains("close") && event.target.closest?.(".twin-stage")) look(...spot(event), event.target.closest(".twin-stage").querySelector("img"));
});

function fetchAhead() {
  const addresses = document.getElementById("pair")?.dataset.ahead ?? "";
  for (const address of addresses.split(" ").filter(Boolean)) new Image().src = address;
}

document.addEventListener("htmx:after:swap", () => {
  away();
  fetchAhead();
});
fetchAhead();
