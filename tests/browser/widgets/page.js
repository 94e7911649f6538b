// What the tests reach the widgets by; each is loaded when it is asked for.

import { chooseLanguage } from "/js/i18n.js";

window.widget = (name) => import(`/js/widgets/${name}.js`);
window.chooseLanguage = chooseLanguage;
window.place = document.getElementById("place");
window.anchor = document.getElementById("anchor");
window.ready = true;
