// What a page can do beyond being read. Without this every text, figure and link still works.
import { setUpCards } from "./cards.js";
import { setUpColours } from "./colours.js";
import { setUpCopying } from "./copying.js";
import { setUpEnlarging } from "./enlarging.js";
import { reloadWhenEdited } from "./live.js";
import { setUpNumbers } from "./numbers.js";
import { followReading, openWhatIsLinkedTo, rememberPlace } from "./place.js";
import { markWhatWasFound, setUpSearch } from "./search.js";
import { letKeyboardScroll, setUpTabs } from "./reach.js";

const script = document.currentScript;
const home = new URL("..", script.src).href; // where the book is: the script lies in its assets/

setUpColours();
setUpCopying();
setUpTabs();
letKeyboardScroll();
setUpEnlarging();
setUpCards();
setUpNumbers(home);
setUpSearch(home);
followReading();
openWhatIsLinkedTo();
addEventListener("hashchange", openWhatIsLinkedTo);
markWhatWasFound();
rememberPlace(home);
if (script.dataset.live) reloadWhenEdited(script.dataset.live);
