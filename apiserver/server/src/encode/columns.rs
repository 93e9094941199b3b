//! What columns of built-in resources are described as: most of them as the member that they show.
//!
//! Upstream: `pkg/printers/internalversion/printers.go`, which takes the texts from `SwaggerDoc`.

use apimachinery::resources::ResourceInfo;
use rules::tables::Column;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Lines of `GROUP/PLURAL|COLUMN|TYPE|MEMBER`; `*` is every resource that has no line of its own.
const MEMBERS: &str = include_str!("columns.txt");

/// By resource, then by column. Of all texts only these stay in memory.
static TEXTS: LazyLock<HashMap<&str, HashMap<&str, String>>> = LazyLock::new(|| {
    let texts = apiserver_descriptions::texts();
    let mut described: HashMap<&str, HashMap<&str, String>> = HashMap::new();
    for line in lines() {
        let [resource, column, ty, member] = line;
        if let Some(text) = texts.of_member(ty, member) {
            described.entry(resource).or_default().insert(column, text.to_owned());
        }
    }
    described
});

fn lines() -> impl Iterator<Item = [&'static str; 4]> {
    let lines = MEMBERS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split('|').collect::<Vec<_>>().try_into().ok())
}

/// What a column tells.
pub(super) fn description<'a>(resource: &ResourceInfo, column: &Column<'a>) -> &'a str {
    if resource.custom.is_some() {
        // What definitions print is theirs to describe; names, and ages where they do not say what to print, are not.
        let text = TEXTS.get("*").and_then(|texts| texts.get(column.name)).filter(|_| column.is_common());
        return text.map_or(column.description, String::as_str);
    }
    let own = format!("{}/{}", resource.group, resource.plural);
    let text = [&*own, "*"].iter().find_map(|resource| TEXTS.get(*resource)?.get(column.name));
    text.map_or(column.description, String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::resources;

    #[test]
    fn every_line_has_a_column_and_a_text() {
        for [resource, column, ty, member] in lines() {
            let is_shown = resources::builtin().iter().any(|r| {
                (resource == "*" || format!("{}/{}", r.group, r.plural) == resource)
                    && rules::tables::columns(r).iter().any(|c| c.name == column)
            });
            assert!(is_shown, "{resource} has no column {column}");
            assert!(TEXTS[resource].contains_key(column), "{ty} has no text of {member}");
        }
        assert_eq!(lines().count(), MEMBERS.lines().filter(|line| !line.starts_with('#')).count());
    }

    #[test]
    fn columns_are_described_as_their_members() {
        let pods = resources::builtin().iter().find(|r| r.plural == "pods" && r.group.is_empty()).expect("pods");
        let columns = rules::tables::columns(pods);
        let text = |name: &str| description(pods, columns.iter().find(|c| c.name == name).expect(name));
        assert!(text("Name").starts_with("Name must be unique within a namespace."), "{}", text("Name"));
        assert!(text("Age").starts_with("CreationTimestamp is a timestamp"), "{}", text("Age"));
        assert!(text("Node").starts_with("NodeName indicates in which node"), "{}", text("Node"));
    }
}
