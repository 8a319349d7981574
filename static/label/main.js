// The labeling screen, put together: what each part shows follows from the state and from the saving queue.
import * as commands from "./commands.js";
import * as completion from "./completion.js";
import * as editor from "./editor.js";
import * as filter from "./filter.js";
import * as ghosts from "./ghosts.js";
import * as grid from "./grid.js";
import * as keys from "./keys.js";
import * as merge from "./merge.js";
import * as offers from "./offers.js";
import * as panel from "./panel.js";
import * as pass from "./pass.js";
import * as reading from "./reading.js";
import * as retag from "./retag.js";
import * as saving from "./saving.js";
import * as sheet from "./sheet.js";
import * as stage from "./stage.js";
import { start as startStatus } from "./status.js";
import { byId } from "./state.js";

for (const part of [grid, stage, editor, completion, reading, retag, ghosts, filter, offers, merge, pass, panel, commands]) part.start();
startStatus();
keys.start(commands.actions);
sheet.start(commands.actions);

// Before anything can be written anew: what was not saved before a reload.
saving.resume();
await filter.load();
commands.history();
// The page of all tags leads here for one of them.
const asked = new URLSearchParams(location.search).get("pass")?.trim();
if (asked) pass.askAbout(asked);
if (document.activeElement === document.body) byId("grid").focus({ preventScroll: true });
