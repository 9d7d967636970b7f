// What every page may have: buttons that copy, and links that open as a dialog.  All works without it.
import { copyButtons } from "./copy.js";
import { dialogLinks } from "./dialogs.js";

copyButtons(document);
dialogLinks(document);
