use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

/// Alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Aligned columns without borders, two spaces apart, no blanks at line ends. Control characters in cells are shown escaped:
/// data must not steer the reader's terminal.
pub(super) fn render(header: &[(&str, Align)], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|(name, align)| cell(name, *align)).collect::<Vec<_>>());
    for row in rows {
        let cells = row.iter().enumerate().map(|(i, text)| cell(text, header.get(i).map_or(Align::Left, |h| h.1)));
        table.add_row(cells.collect::<Vec<_>>());
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

fn cell(text: &str, align: Align) -> Cell {
    let text: String = text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect();
    Cell::new(text).set_alignment(match align {
        Align::Left => CellAlignment::Left,
        Align::Right => CellAlignment::Right,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_escaped() {
        let header = [("table", Align::Left), ("rows", Align::Right), ("note", Align::Left)];
        let rows = vec![vec!["readings".into(), "5".into(), "a\nb".into()], vec!["x".into(), "12345".into(), "\u{1b}[2J".into()]];
        assert_eq!(render(&header, rows), "table      rows  note\nreadings      5  a\\nb\nx         12345  \\u{1b}[2J");
    }
}
