// What a page can do beyond being read. Without this every text, figure and link still works.
import { setUpBar } from "./bar.js";
import { setUpCards } from "./cards.js";
import { setUpColours } from "./colours.js";
import { setUpCopying, setUpFormulas } from "./copying.js";
import { setUpEnlarging } from "./enlarging.js";
import { setUpFrames } from "./frames.js";
import { setUpKeys } from "./keys.js";
import { reloadWhenEdited } from "./live.js";
import { setUpNumbers } from "./numbers.js";
import { followReading, rememberPlace, setUpArrivals } from "./place.js";
import { setUpReport } from "./report.js";
import { markWhatWasFound, setUpSearch } from "./search.js";
import { setUpBoxes, setUpTabs } from "./reach.js";
import { setUpFigures } from "./touching.js";

const script = document.currentScript;
const home = new URL("..", script.src).href; // where the book is: the script lies in its assets/

setUpColours();
setUpBar();
setUpKeys();
setUpCopying();
setUpFormulas();
setUpTabs();
setUpBoxes();
setUpEnlarging();
setUpFrames();
setUpFigures(home);
setUpCards();
setUpNumbers(home);
setUpSearch(home);
followReading();
setUpArrivals();
markWhatWasFound();
setUpReport();
rememberPlace(home);
if (script.dataset.live) reloadWhenEdited(script.dataset.live);
