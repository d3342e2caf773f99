import { render } from "preact";
import { followLinks } from "./address";
import { App } from "./app";
import "./explorer.css";
import { applyTheme } from "./theme";

applyTheme();
document.addEventListener("click", followLinks);
render(<App />, document.getElementById("app") as HTMLElement);
