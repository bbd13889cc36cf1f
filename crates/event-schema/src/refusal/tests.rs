use super::RefusalCode;
use std::{collections::BTreeSet, path::Path};

fn page() -> String {
    let mut page = String::from(
        "# Why records are refused\n\n\
         A record that cannot become a row is never lost and never stops the others: it goes to the table's quarantine (`<table>_quarantine`) with its\n\
         bytes, headers and origin, and with one of these codes in the column `reason`. The column `detail` says where in the record and what. Codes\n\
         never change their meaning.\n\n\
         | reason | meaning |\n|---|---|\n",
    );
    for code in RefusalCode::all() {
        page += &format!("| `{}` | {} |\n", code.as_str(), code.description());
    }
    page + "\nThis page is written from the program's own list: `UPDATE_DOCS=1 cargo test -p event-schema refusals_page`.\n"
}

#[test]
fn refusals_page_equals_the_codes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/refusals.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page()).unwrap();
    }
    let found = std::fs::read_to_string(&path).expect("docs/refusals.md: write it with UPDATE_DOCS=1");
    assert_eq!(found, page(), "docs/refusals.md differs from the codes: write it with UPDATE_DOCS=1");
}

#[test]
fn codes_are_distinct_and_parse_back() {
    let texts: BTreeSet<_> = RefusalCode::all().iter().map(|c| c.as_str()).collect();
    assert_eq!(texts.len(), RefusalCode::all().len());
    for code in RefusalCode::all() {
        assert_eq!(RefusalCode::parse(code.as_str()), Some(*code));
        assert!(code.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()), "{code}");
        assert!(code.description().ends_with('.'), "{code}");
    }
    assert_eq!(RefusalCode::parse("no_such_code"), None);
}
