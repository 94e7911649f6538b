// What the tests reach the widgets by; each is loaded when it is asked for.

import { setLanguage } from "/js/i18n.js";

window.widget = (name) => import(`/js/widgets/${name}.js`);
window.setLanguage = setLanguage;
window.place = document.getElementById("place");
window.anchor = document.getElementById("anchor");
window.ready = true;
