// The page: facts computed in Python, and a function a section.
import { startArchitecture } from "./sections/architecture.js";
import { startBestOfN } from "./sections/best_of_n.js";
import { startLength } from "./sections/length.js";
import { startLoss } from "./sections/loss.js";
import { startPooling } from "./sections/pooling.js";
import { startSharing } from "./sections/sharing.js";
import { startWorked } from "./sections/worked.js";
import { startTheme } from "./theme.js";

const facts = JSON.parse(document.getElementById("facts").textContent);
const at = (id) => document.getElementById(id);

startTheme();
startLoss(at("loss"));
startArchitecture(at("architecture").querySelector(".body"), facts);
startPooling(at("pooling"), facts.tokens);
startSharing(at("sharing"));
startWorked(at("worked"));
startLength(at("length"), facts.sample);
startBestOfN(at("best_of_n"), facts);
