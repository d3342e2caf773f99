/** The searches of report.html, drawn by the explorer's own components from the numbers that stand in the page. */
import { render } from "preact";
import "../explorer.css";
import { Linked } from "../parts/name";
import { Patterns } from "../parts/patterns";
import { type Search, Searched } from "./searched";

const numbers = document.getElementById("searches")?.textContent;
if (numbers) {
  const searches = JSON.parse(numbers) as Search[];
  const patterns = document.body.appendChild(document.createElement("div"));
  render(<Patterns />, patterns);
  for (const place of document.querySelectorAll<HTMLElement>("[data-search]")) {
    const search = searches[Number(place.dataset.search)];
    if (!search) continue;
    place.replaceChildren();
    render(
      <Linked.Provider value={false}>
        <Searched of={search} />
      </Linked.Provider>,
      place,
    );
  }
}
