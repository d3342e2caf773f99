"""The concepts: a table that sorts, filters and draws only what is in view; what a person changes of one of them."""

from __future__ import annotations

from urllib.parse import quote

from explorer.reading import asked, expect, hit, params, searching, settled

VOLCANO = "A volcano throws ash and lava out of the crust of the Earth."


def rows(page):
    return page.locator("table.concepts tbody tr[data-index]")


def names(page, n):
    """The first names of the table, as they are read."""
    return [rows(page).nth(i).locator("td.name").inner_text() for i in range(n)]


def expect_rows(page, found):
    """The table begins with these rows of the server's."""
    for i, row in enumerate(found[:5]):
        expect(rows(page).nth(i).locator("td.name a")).to_have_attribute("href", f"/concepts/{row['latent']}")


def vague(page):
    """A concept with a name that a person could doubt, found in many passages."""
    [first, *_] = asked(page, "/api/concepts?trust=vague&sort=df&descending=true&limit=1")["rows"]
    return first


def undo(page):
    page.keyboard.press("Control+z")


# --- the table -----------------------------------------------------------------------------------


def test_the_table_sorts_by_each_column_both_ways(visit, explored):
    page = visit(explored, "/concepts")
    for column, sort in (("Name", "name"), ("Passages", "df"), ("Strongest", "strongest"), ("Number", "latent")):
        header = page.locator("thead th", has_text=column)
        for _ in range(2):
            header.get_by_role("button").click()
            descending = {"ascending": "false", "descending": "true"}[header.get_attribute("aria-sort")]
            assert (params(page)["sort"], params(page)["descending"]) == ([sort], [descending])
            expect_rows(page, asked(page, f"/api/concepts?sort={sort}&descending={descending}&limit=5")["rows"])


def test_the_table_is_filtered_by_mark_words_and_number(visit, explored):
    page = visit(explored, "/concepts")
    marks = page.get_by_role("group", name="Marks")
    marks.get_by_role("button", name="Vague").click()
    n = asked(page, "/api/concepts?trust=vague&limit=1")["total"]
    said = page.get_by_role("search").get_by_role("status")
    expect(said).to_contain_text(f"{n} of 767 concepts")
    expect(rows(page).first).to_contain_text("Vague")
    found = vague(page)
    field = page.get_by_role("searchbox", name="Concepts by words of their names, or by number")
    field.fill(found["name"])
    expect(said).not_to_contain_text(f"{n} of")
    assert found["name"] in names(page, 1)[0]
    page.get_by_role("button", name="Clear").click()
    expect(said).to_have_text("767 concepts")
    field.fill(str(found["latent"]))
    expect(rows(page).first.locator("td.name a")).to_have_attribute("href", f"/concepts/{found['latent']}")


def test_hundreds_of_rows_are_there_and_few_of_them_are_drawn(visit, explored):
    page = visit(explored, "/concepts?sort=latent&descending=false")
    expect(page.get_by_role("grid")).to_have_attribute("aria-rowcount", "768")
    expect(rows(page).first).to_be_visible()
    assert rows(page).count() < 80
    rows(page).first.focus()
    page.keyboard.press("End")
    last = rows(page).last
    expect(last).to_be_focused()
    expect(last).to_have_attribute("aria-rowindex", "768")
    [end] = asked(page, "/api/concepts?sort=latent&descending=false&offset=766&limit=1")["rows"]
    expect(last.locator("td.name a")).to_have_attribute("href", f"/concepts/{end['latent']}")
    assert rows(page).count() < 80


def test_a_text_shows_the_concepts_that_it_activates(visit, explored):
    page = visit(explored, "/concepts")
    page.get_by_role("searchbox", name="Concepts by a text that activates them").fill(VOLCANO)
    expect(page.get_by_text("The text is embedded as a passage would be.")).to_be_visible()
    found = asked(page, f"/api/concepts?text={quote(VOLCANO)}&sort=activation&descending=true&limit=5")
    expect_rows(page, found["rows"])
    expect(rows(page).first).to_contain_text(f"{found['rows'][0]['activation']:.3f}")
    expect(page.get_by_role("search").get_by_role("status")).to_contain_text(f"{found['total']} concepts are active")


def test_words_that_no_name_has_are_looked_for_by_text_instead(visit, explored):
    page = visit(explored, "/concepts?words=xyzzyx+volcano")
    expect(page.get_by_role("heading", name="No name has these words in it")).to_be_visible()
    page.get_by_role("button", name="Search by text").click()
    expect(rows(page).first).to_be_visible()
    assert params(page) == {"text": ["xyzzyx volcano"]}


def test_enter_opens_a_row_and_back_returns_to_it(visit, explored):
    page = visit(explored, "/concepts")
    expect(rows(page).first).to_be_visible()
    rows(page).first.focus()
    for _ in range(40):
        page.keyboard.press("ArrowDown")
    row = page.locator("tr[data-index='40']")
    expect(row).to_be_focused()
    to = row.locator("td.name a").get_attribute("href")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="How strongly it is active")).to_be_visible()
    assert page.url.endswith(to)
    page.go_back()
    expect(row).to_be_focused()


def test_rows_are_flagged_together_and_the_change_is_taken_back(visit, explored):
    page = visit(explored, "/concepts?sort=latent&descending=false")
    for i in (5, 6):
        rows(page).nth(i).get_by_role("checkbox").check()
    expect(page.get_by_text("2 concepts selected")).to_be_visible()
    page.get_by_role("button", name="Flag …").click()
    page.get_by_role("textbox", name="Remark").fill("looked at together")
    page.get_by_role("button", name="Flag", exact=True).click()
    expect(page.get_by_text("2 concepts flagged looked at together.")).to_be_visible()
    expect(rows(page).nth(5)).to_contain_text("looked at together")
    undo(page)
    expect(rows(page).nth(5)).not_to_contain_text("looked at together")
    assert asked(page, "/api/concepts/5")["row"]["flag"] is None


def test_rows_are_merged_together_into_another_and_the_merge_is_taken_back(visit, explored):
    page = visit(explored, "/concepts?sort=latent&descending=false")
    first, second, into = asked(page, "/api/concepts?sort=latent&descending=false&offset=9&limit=3")["rows"]
    for i in (9, 10):
        rows(page).nth(i).get_by_role("checkbox").check()
    page.get_by_role("button", name="Merge into …").click()
    dialog = page.get_by_role("dialog", name="Merge into another concept")
    dialog.get_by_role("searchbox").fill(str(first["latent"]))  # one of the two: it is not merged into itself
    expect(dialog.get_by_role("listitem").filter(has_text=f"#{first['latent']}")).to_have_count(0)
    dialog.get_by_role("searchbox").fill(str(into["latent"]))
    dialog.get_by_role("listitem").filter(has_text=f"#{into['latent']}").get_by_role("radio").check()
    dialog.get_by_role("button", name=f"Merge 2 concepts into {into['latent']}").click()
    expect(page.get_by_text(f"2 concepts merged into #{into['latent']}.")).to_be_visible()
    merged = [asked(page, f"/api/concepts/{one['latent']}")["row"]["merged_into"] for one in (first, second)]
    assert merged == [into["latent"]] * 2
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("2 concepts merged")).to_have_count(0)
    for one in (first, second):
        assert asked(page, f"/api/concepts/{one['latent']}")["row"]["merged_into"] is None


def test_families_are_a_list_or_said_to_be_none(visit, explored):
    page = visit(explored, "/concepts?show=families")
    families = asked(page, "/api/families")["families"]
    if families:
        expect(page.locator(".families h2").first).to_be_visible()
    else:
        expect(page.get_by_role("heading", name="There are no families")).to_be_visible()


# --- one concept ---------------------------------------------------------------------------------


def test_a_renamed_concept_keeps_its_name_after_a_reload_and_in_the_sums_of_hits(visit, explored):
    page = visit(explored, searching())
    strongest = settled(page)["hits"][0]["explanation"]["contributions"][0]
    page.goto(f"{explored.origin}/concepts/{strongest['latent']}")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("molten rock")
    page.keyboard.press("Enter")
    title = page.get_by_role("heading", level=1)
    expect(title).to_have_text("molten rock")
    expect(page.locator(".facts")).to_contain_text("Confirmed")
    page.reload()
    expect(title).to_have_text("molten rock")

    page.goto(explored.origin + searching())
    settled(page)
    hit(page, 1).get_by_role("button", name="Show the sum").click()
    line = hit(page, 1).locator("table.ledger tr", has_text="molten rock")
    expect(line).to_contain_text(f"+{strongest['value']:.4f}")
    line.get_by_role("link", name="molten rock").click()

    expect(title).to_have_text("molten rock")
    undo(page)
    expect(title).not_to_have_text("molten rock")
    expect(page.locator(".hist-list s")).to_contain_text("molten rock")
    page.reload()
    row = asked(page, f"/api/concepts/{strongest['latent']}")["row"]
    assert (row["name"], row["trust"]) == (strongest["name"], strongest["trust"])


def test_a_name_is_locked_and_unlocked(visit, explored):
    page = visit(explored, "/concepts")
    row = vague(page)
    page.goto(f"{explored.origin}/concepts/{row['latent']}")
    page.get_by_role("button", name="Lock").click()
    expect(page.locator(".facts")).to_contain_text("Confirmed")
    page.get_by_role("button", name="Unlock").click()
    expect(page.locator(".facts")).to_contain_text("Vague")
    assert asked(page, f"/api/concepts/{row['latent']}")["row"]["name"] == row["name"]


def test_a_remark_is_left_and_taken_away(visit, explored):
    page = visit(explored, "/concepts")
    page.goto(f"{explored.origin}/concepts/17")
    page.get_by_role("button", name="Flag").click()
    page.get_by_role("combobox", name="Remark").fill("boilerplate")
    page.keyboard.press("Enter")
    flag = page.locator(".facts a.tag")
    expect(flag).to_have_text("flagboilerplate")
    flag.click()  # to all that have it
    expect(rows(page)).to_have_count(1)
    page.go_back()
    expect(flag).to_be_visible()
    undo(page)
    expect(flag).to_have_count(0)


def test_a_concept_is_merged_by_the_dialog_and_the_merge_is_undone(visit, explored):
    page = visit(explored, "/concepts")
    one, other = asked(page, "/api/concepts?trust=vague&sort=df&descending=true&limit=5")["rows"][2:4]
    page.goto(f"{explored.origin}/concepts/{one['latent']}")
    page.get_by_role("button", name="Merge").click()
    dialog = page.get_by_role("dialog", name="Merge into another concept")
    expect(dialog.get_by_role("button", name="Choose a concept")).to_be_disabled()
    dialog.get_by_role("searchbox").fill(str(other["latent"]))
    dialog.get_by_role("listitem").filter(has_text=f"#{other['latent']}").get_by_role("radio").check()
    dialog.get_by_role("button", name=f"Merge {one['latent']} into {other['latent']}").click()
    expect(page.locator(".strip.note")).to_contain_text(f"Merged into {other['name']}")
    assert asked(page, f"/api/concepts/{one['latent']}")["row"]["merged_into"] == other["latent"]
    page.get_by_role("button", name="Undo the merge").click()
    expect(page.locator(".strip.note")).to_have_count(0)
    assert asked(page, f"/api/concepts/{one['latent']}")["row"]["merged_into"] is None


def test_a_text_of_ones_own_is_tried_and_kept_in_the_address(visit, explored):
    page = visit(explored, "/concepts")
    [strongest] = asked(page, f"/api/concepts?text={quote(VOLCANO)}&sort=activation&descending=true&limit=1")["rows"]
    page.goto(f"{explored.origin}/concepts/{strongest['latent']}")
    page.get_by_role("textbox", name="Text").fill(VOLCANO)
    page.keyboard.press("Control+Enter")
    said = page.locator(".try-said")
    expect(said).to_contain_text(f"{strongest['activation']:.3f}")
    expect(page.locator(".try-text mark").first).to_be_visible()
    page.reload()
    expect(said).to_contain_text(f"{strongest['activation']:.3f}")
    page.get_by_role("textbox", name="Text").fill("Taxes are paid.")
    page.get_by_role("button", name="Test").click()
    expect(said).not_to_contain_text(f"{strongest['activation']:.3f}")


def test_the_words_of_examples_are_marked_and_all_passages_are_listed(visit, explored):
    page = visit(explored, "/concepts", words=True)
    row = vague(page)
    page.goto(f"{explored.origin}/concepts/{row['latent']}")
    expect(page.locator(".ex mark").first).to_be_visible()
    page.get_by_role("button", name=f"Show all {row['document_frequency']} passages").click()
    assert params(page)["passages"] == ["all"]
    expect(page.get_by_role("button", name="Show all")).to_have_count(0)


def test_the_next_concept_of_the_table_is_the_next_row(visit, explored):
    page = visit(explored, "/concepts?sort=name&descending=false&trust=vague")
    expect(rows(page).first).to_be_visible()
    first, second = (rows(page).nth(i).locator("td.name a").get_attribute("href") for i in (0, 1))
    rows(page).first.locator("td.name a").click()
    expect(page.get_by_role("heading", name="How strongly it is active")).to_be_visible()
    page.keyboard.press("]")
    page.wait_for_url(f"**{second}")
    page.keyboard.press("[")
    page.wait_for_url(f"**{first}")


def test_an_unknown_concept_is_an_error_in_words_with_a_way_on(visit, explored):
    page = visit(explored, "/concepts/999999", refused="/api/concepts/999999")
    expect(page.get_by_role("alert")).to_contain_text("999999")
    page.get_by_role("link", name="All concepts").click()
    expect(rows(page).first).to_be_visible()
