// Which elements use keys for themselves.
const OTHER = ":not([type=checkbox], [type=radio], [type=button], [type=submit], [type=range], [type=color])";

// One that words are typed into.
export const isText = (element) => element.matches(`textarea, input${OTHER}`);

// Also one that a key chooses in, as in a list or a slider: letters and arrows are no commands there.
export const takesKeys = (element) => isText(element) || element.matches("select, input:is([type=range], [type=color])");
