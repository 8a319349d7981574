// A person's name, and the pages that open beside the screen.
import { inTurn } from "./rows.js";
import { settled } from "./saving.js";
import { flush } from "./editor.js";
import { byId, state, toast } from "./state.js";
import { hold } from "../turns.js";

const YEAR_S = 31_536_000;

function name() {
  byId("person-dialog").showModal();
  byId("person-name").select();
}

function keepName() {
  state.person = byId("person-name").value.trim();
  document.cookie = `studio-name=${encodeURIComponent(state.person)}; path=/; max-age=${YEAR_S}; samesite=lax`;
  byId("person").textContent = state.person || "you";
}

// What leads away from the screen takes all words along first.
function leave(event) {
  const link = event.target.closest("a[href]");
  const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (!link || !isPlain || event.defaultPrevented || link.target || link.origin !== location.origin) return;
  event.preventDefault();
  lead(link.href);
}

// The next key is for the page that comes.
export const lead = (url) => hold(go(url));

async function go(url) {
  flush();
  if (await inTurn(() => settled())) location.assign(url);
  else toast("Some words are not saved yet. Stay until they are, or reload to go without them.", "warn");
}

export function start() {
  byId("person-open").addEventListener("click", name);
  byId("person-form").addEventListener("submit", keepName);
  document.addEventListener("click", leave);
}

