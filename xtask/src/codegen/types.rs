//! The table of types.

use super::Table;
use super::facts::{Facts, Field, list, word};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Prefixes that stand for packages, as the table's parser knows them.
const PACKAGES: &[(&str, &str)] = &[
    ("io.k8s.apimachinery.pkg.apis.meta.v1.", "~"),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.", "x:"),
    ("io.k8s.kube-aggregator.pkg.apis.apiregistration.", "r:"),
    ("io.k8s.api.core.v1.", "="),
    ("io.k8s.api.", "+"),
    ("io.k8s.apimachinery.pkg.", "%"),
];

/// The exceptions: types whose JSON form is not that of their message.
const SPECIAL: &[(&str, &str)] = &[
    ("string", "s"),
    ("int32", "i"),
    ("int64", "l"),
    ("bool", "b"),
    ("bytes", "y"),
    ("double", "d"),
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", "quantity"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "time"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", "microtime"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Duration", "duration"),
    ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "intstr"),
    ("io.k8s.apimachinery.pkg.runtime.RawExtension", "raw"),
    ("io.k8s.apimachinery.pkg.runtime.Unknown", "raw"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "fields"),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", "json"),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray", "schema-or-array"),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool", "schema-or-bool"),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray", "schema-or-strings"),
];

/// Packages that are no part of the API.
const LEFT_OUT: &[&str] = &[
    ".apis.example",
    ".metrics.pkg.",
    ".testapigroup.",
    ".apiextensions.v1beta1.",
    "io.k8s.apimachinery.pkg.runtime.",
];

/// What the present table knows beyond the facts.
#[derive(Debug, Default)]
struct Kept {
    /// Words of a type: `object`, and kinds.
    heads: HashMap<String, Vec<String>>,
    /// JSON name (for fields that the facts name otherwise), presence, and default if it is
    /// there only because somebody looked it up, by type and number.
    fields: HashMap<(String, String), Vec<String>>,
}

pub(super) fn generate(facts: &Facts, now: &str) -> anyhow::Result<Table> {
    let kept = Kept::read(now);
    let generator = Generator { facts, kept: &kept, inliners: inliners(facts) };
    let mut table = Table::default();
    for line in now.lines().take_while(|line| line.starts_with('#')) {
        table.text.push_str(&format!("{line}\n"));
    }
    let (mut declared, mut referenced) = (BTreeSet::new(), BTreeSet::new());
    for (name, fields) in facts.types.iter().filter(|(name, _)| generator.is_listed(name)) {
        declared.insert(short(name));
        table.text.push_str(&generator.head(name));
        for field in fields {
            let line = generator.field(name, field, &mut table.doubts);
            let shape = line.split(' ').nth(2).unwrap_or_default();
            referenced.extend(shape.rsplit_once('@').map(|(_, name)| name.to_owned()));
            table.text.push_str(&format!("{line}\n"));
        }
    }
    // Types without fields.
    for name in referenced.difference(&declared) {
        table.text.push_str(&generator.head(&long(name)));
    }
    Ok(table)
}

impl Kept {
    fn read(now: &str) -> Self {
        let (mut kept, mut current) = (Kept::default(), String::new());
        for line in now.lines().filter(|l| !l.starts_with('#')) {
            let words = || line.trim_start_matches('@').split(' ').map(str::to_owned);
            if line.starts_with('@') {
                current = long(&words().next().unwrap_or_default());
                kept.heads.insert(current.clone(), words().skip(1).filter(|w| w != "atomic").collect());
            } else if let Some(number) = words().nth(1) {
                kept.fields.insert((current.clone(), number), words().collect());
            }
        }
        kept
    }
}

/// Types that are inlined, with one that inlines them and that OpenAPI describes.
fn inliners(facts: &Facts) -> BTreeMap<&str, &str> {
    let mut inliners = BTreeMap::new();
    for (name, fields) in &facts.types {
        for field in fields.iter().filter(|f| f.json == "(inline)") {
            inliners.entry(field.shape.as_str()).or_insert(name.as_str());
        }
    }
    inliners
}

struct Generator<'a> {
    facts: &'a Facts,
    kept: &'a Kept,
    inliners: BTreeMap<&'a str, &'a str>,
}

impl Generator<'_> {
    fn is_listed(&self, name: &str) -> bool {
        !is_strings(name) && special(name).is_none() && !LEFT_OUT.iter().any(|part| name.contains(part))
    }

    fn head(&self, name: &str) -> String {
        let mut words: Vec<String> = self.kept.heads.get(name).cloned().unwrap_or_else(|| self.new_head(name));
        if self.facts.schemas.get(name).is_some_and(|s| s["x-kubernetes-map-type"] == "atomic") {
            let at = usize::from(words.first().is_some_and(|w| w == "object"));
            words.insert(at, "atomic".into());
        }
        let words: String = words.iter().map(|word| format!(" {word}")).collect();
        format!("@{}{words}\n", short(name))
    }

    /// A type that the table does not have yet is an object if it is a kind.
    fn new_head(&self, name: &str) -> Vec<String> {
        let kinds = self.facts.kinds.get(name).cloned().unwrap_or_default();
        let object = (!kinds.is_empty()).then(|| "object".to_owned());
        object.into_iter().chain(kinds).collect()
    }

    fn field(&self, ty: &str, field: &Field, doubts: &mut Vec<String>) -> String {
        let key = (ty.to_owned(), field.number.clone());
        let kept = self.kept.fields.get(&key).map_or(&[][..], Vec::as_slice);
        let name = match (kept.first(), field.json.as_str()) {
            (Some(name), _) => name.clone(),
            (None, "(inline)") => "-".into(),
            (None, name) => name.to_owned(),
        };
        if kept.is_empty() {
            doubts.push(format!("{ty}.{name}: pointer or not"));
        }
        let property = self.property(ty, &name);
        let mut words = vec![name, field.number.clone(), shape(&field.shape)];
        words.extend((field.required || property.is_some_and(|p| p.required)).then(|| "!".to_owned()));
        words.extend(kept.iter().filter(|w| ["*", ".", "z", "n", "e"].contains(&w.as_str())).cloned());
        words.extend(property.map_or_else(|| marks(field), |p| p.marks()));
        let default = (!field.default.is_empty()).then(|| format!("D={}", field.default));
        words.extend(default.or_else(|| kept.iter().find(|w| w.starts_with("D=")).cloned()));
        words.extend((!field.format.is_empty()).then(|| format!("F={}", field.format)));
        words.join(" ")
    }

    /// What OpenAPI says about a member, of the type itself or of one that inlines it.
    fn property(&self, ty: &str, name: &str) -> Option<Property<'_>> {
        let mut described = ty;
        while !self.facts.schemas.contains_key(described) {
            described = self.inliners.get(described)?;
        }
        let schema = &self.facts.schemas[described];
        let value = schema["properties"].get(name)?;
        Some(Property { value, required: list(&schema["required"]).iter().any(|r| r == name) })
    }
}

#[derive(Clone, Copy)]
struct Property<'a> {
    value: &'a Value,
    required: bool,
}

impl Property<'_> {
    fn marks(&self) -> Vec<String> {
        let mark = |name: &str| word(&self.value[format!("x-kubernetes-{name}")]);
        let keys: Vec<String> = list(&self.value["x-kubernetes-list-map-keys"]).iter().map(word).collect();
        let mut marks = Vec::new();
        match mark("list-type").as_str() {
            "" => {}
            "map" => marks.push(format!("L=map:{}", keys.join(","))),
            list_type => marks.push(format!("L={list_type}")),
        }
        let map_type = mark("map-type");
        marks.extend((!map_type.is_empty()).then(|| format!("L=map-{map_type}")));
        marks.extend(patch(&mark("patch-strategy"), &mark("patch-merge-key")));
        marks
    }
}

/// The marks of a type that no OpenAPI document describes.
fn marks(field: &Field) -> Vec<String> {
    let mut marks = Vec::new();
    match (field.list_type.as_str(), field.list_keys.as_str()) {
        ("", _) => {}
        (list_type, "") => marks.push(format!("L={list_type}")),
        (list_type, keys) => marks.push(format!("L={list_type}:{keys}")),
    }
    marks.extend(patch(&field.patch_strategy, &field.patch_key));
    marks
}

fn patch(strategy: &str, key: &str) -> Option<String> {
    match (strategy, key) {
        ("", _) => None,
        (strategy, "") => Some(format!("P={strategy}")),
        (strategy, key) => Some(format!("P={strategy}:{key}")),
    }
}

fn shape(text: &str) -> String {
    let (prefix, name) = ["[]", "{}"].iter().find_map(|p| Some((*p, text.strip_prefix(p)?))).unwrap_or(("", text));
    let word = match (special(name), is_strings(name)) {
        (Some(word), _) => word.to_owned(),
        (None, true) => "strings".into(),
        (None, false) => format!("@{}", short(name)),
    };
    format!("{prefix}{word}")
}

fn special(name: &str) -> Option<&'static str> {
    SPECIAL.iter().find(|(special, _)| *special == name).map(|(_, word)| *word)
}

/// Lists of strings that are messages of their own.
fn is_strings(name: &str) -> bool {
    name.ends_with(".ExtraValue") || name.ends_with(".meta.v1.Verbs")
}

fn short(name: &str) -> String {
    let found = PACKAGES.iter().find_map(|(package, mark)| Some(format!("{mark}{}", name.strip_prefix(package)?)));
    found.unwrap_or_else(|| name.to_owned())
}

fn long(name: &str) -> String {
    let found = PACKAGES.iter().find_map(|(package, mark)| Some(format!("{package}{}", name.strip_prefix(mark)?)));
    found.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts() -> Facts {
        let field = |json: &str, number: &str, shape: &str| Field {
            json: json.into(),
            number: number.into(),
            shape: shape.into(),
            ..Field::default()
        };
        let mut facts = Facts::default();
        let outer = vec![field("(inline)", "1", "io.k8s.api.core.v1.Inner"), field("new", "2", "int64")];
        facts.types.push(("io.k8s.api.core.v1.Outer".into(), outer));
        facts.types.push(("io.k8s.api.core.v1.Inner".into(), vec![field("list", "1", "[]string")]));
        let schema = json!({"required": ["list"], "x-kubernetes-map-type": "atomic",
            "properties": {"list": {"x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"}, "new": {}}});
        facts.schemas.insert("io.k8s.api.core.v1.Outer".into(), schema);
        facts
    }

    #[test]
    fn merges_facts_with_what_is_known() {
        let now = "# types\n@=Outer object /v1/Outer\n- 1 @=Inner\n@=Inner\nlist 1 []s\n";
        let table = generate(&facts(), now).expect("a table");
        let want =
            "# types\n@=Outer object atomic /v1/Outer\n- 1 @=Inner\nnew 2 l\n@=Inner\nlist 1 []s ! L=set P=merge\n";
        assert_eq!(table.text, want);
        assert_eq!(table.doubts, ["io.k8s.api.core.v1.Outer.new: pointer or not"]);
        assert_eq!(generate(&facts(), want).expect("a table").text, want);
    }
}
