use super::*;
use crate::types::Opaque;
use crate::{Bindings, Budget, Value, compile, evaluate};
use std::collections::BTreeMap;

/// Sizes as a definition's schema would have them.
#[derive(Default)]
struct Declared {
    most: Option<u64>,
    fields: BTreeMap<&'static str, Declared>,
    elements: Option<Box<Declared>>,
    keys: Option<Box<Declared>>,
}

impl Sizes for Declared {
    fn most(&self) -> Option<u64> {
        self.most
    }

    fn part(&self, step: Step<'_>) -> Option<&dyn Sizes> {
        let part = match step {
            Step::Field(name) => self.fields.get(name),
            Step::Elements => self.elements.as_deref(),
            Step::Keys => self.keys.as_deref(),
            Step::Indices => None,
        };
        part.map(|part| part as &dyn Sizes)
    }
}

fn sized(most: u64) -> Declared {
    Declared { most: Some(most), ..Declared::default() }
}

fn list(most: u64, of: Declared) -> Declared {
    Declared { elements: Some(Box::new(of)), ..sized(most) }
}

fn map(most: u64, of: Declared) -> Declared {
    Declared { keys: Some(Box::new(sized(0))), ..list(most, of) }
}

fn object(fields: impl IntoIterator<Item = (&'static str, Declared)>) -> Declared {
    Declared { fields: fields.into_iter().collect(), ..sized(0) }
}

fn between(source: &str, own: Type, sizes: &Declared) -> (u64, u64) {
    let environment = Environment::new()
        .with("self", own)
        .with("authorizer", Type::Opaque(Opaque::Authorizer))
        .with_binding()
        .with_mutations();
    let program = compile(source, &environment).unwrap_or_else(|error| panic!("{error}"));
    let Estimate { min, max } = estimate(&program, &environment, sizes);
    (min, max)
}

/// Of an expression about constants.
fn constant(source: &str) -> (u64, u64) {
    between(source, Type::Dyn, &Declared::default())
}

/// The numbers are those of `apiserver/pkg/cel/library/cost_test.go`.
#[test]
fn libraries_cost_what_they_cost_upstream() {
    for (source, want) in [
        ("[1, 2, 3, 4, 5].sum()", (15, 15)),
        ("[uint(1), uint(2), uint(3), uint(4), uint(5)].isSorted()", (20, 20)),
        ("lists.range(5)", (16, 16)),
        ("['a', 'b'].sort()", (30, 30)),
        ("[1, 2].distinct()", (29, 29)),
        ("[1, 2, 3].reverse()", (24, 24)),
        ("[1, 2, 3].slice(1, 3)", (23, 23)),
        ("dyn([[1], [2]]).flatten(2)", (46, 46)),
        ("[1.0, 2.0, 3.0, 4.0, 5.0].lastIndexOf(3.0)", (15, 15)),
        ("url('https:://kubernetes.io/').getHostname()", (4, 4)),
        ("url('https:://kubernetes.io/') == url('https:://kubernetes.io/')", (7, 9)),
        ("url('https:://kubernetes.io/') == url('http://x.b')", (5, 5)),
        ("ip('192.168.0.1').isLoopback()", (3, 3)),
        ("ip('2001:db8:3333:4444:5555:6666:7777:8888') == ip('192.168.0.1')", (7, 7)),
        ("ip.isCanonical('2001:db8:3333:4444:5555:6666:7777:8888')", (8, 8)),
        ("cidr('192.168.0.0/16').masked()", (3, 3)),
        ("cidr('192.168.0.0/16').containsCIDR(cidr('192.0.0.0/30'))", (7, 11)),
        ("cidr('192.168.0.0/16').containsCIDR('192.168.0.0/16')", (7, 11)),
        ("cidr('192.168.0.0/16').containsIP('192.169.0.1')", (5, 8)),
        ("cidr('2001:db8::/32').containsIP('2001:db8:3333:4444:5555:6666:7777:8888')", (7, 10)),
        ("'ABCDEFGHIJ abcdefghij'.lowerAscii() == 'abcdefghij ABCDEFGHIJ'.lowerAscii()", (7, 9)),
        ("strings.quote('ABCDEFGHIJ abcdefghij') == strings.quote('ABCDEFGHIJ abcdefghij')", (7, 11)),
        ("'abc 123 def 123'.replace('', 'x')", (3, 3)),
        ("'abc 123 def 123'.split(' ', 1)", (3, 3)),
        ("'abc 123 def 123'.substring(5, 8)", (2, 2)),
        ("'abc 123 def 123'.find('123')", (2, 2)),
        ("jsonpatch.escapeKey('abc/def~ abc/def~')", (2, 2)),
        ("authorizer.path('/healthz').check('get').allowed()", (350_003, 350_003)),
        (
            "authorizer.group('').resource('pods').fieldSelector(\
             'spec.nodeName=example-node-name.fully.qualified.domain.name.example.com')",
            (1821, 1821),
        ),
        ("quantity('200M') == quantity('0.2G') && quantity('0.2G') == quantity('200M')", (3, 6)),
        ("quantity('50k').add(quantity('20')) == quantity('50.02k')", (5, 5)),
        ("semver('1.0.0').compareTo(semver('1.2.3'))", (3, 3)),
    ] {
        assert_eq!(constant(source), want, "{source}");
    }
}

/// The numbers are those of `apiserver/pkg/cel/library/cost_test.go`.
#[test]
fn macros_cost_what_they_cost_upstream() {
    for (source, want) in [
        ("{'a': 1, 'b': 2}.all(k, v, v > 0)", (37, 41)),
        ("{'a': 1, 'b': 2}.exists(k, v, v > 0)", (39, 43)),
        ("{'a': 1, 'b': 2}.existsOne(k, v, v > 0)", (38, 40)),
        ("{'a': 1, 'b': 2}.transformMap(k, v, v + 1)", (71, 71)),
        ("{'a': 1, 'b': 2}.transformMap(k, v, v < 5, v + 1)", (67, 75)),
        ("{'a': 1, 'b': 2}.transformMapEntry(k, v, {k: v + 1})", (131, 131)),
        ("{'a': 1, 'b': 2}.transformMapEntry(k, v, v < 5, {k: v + 1})", (67, 135)),
        ("[1, 2].exists(i, v, v > 0)", (19, 23)),
        ("[1, 2].transformList(i, v, v + 1)", (49, 49)),
        ("[1, 2].transformList(i, v, v < 5, v + 1)", (27, 53)),
    ] {
        assert_eq!(constant(source), want, "{source}");
    }
}

/// Worked out by hand from the expansions that upstream makes of the macros.
#[test]
fn other_forms() {
    for (source, want) in [
        ("[1, 2].filter(x, x > 1)", (27, 51)),
        ("optional.of(1).optMap(x, x + 1)", (3, 17)),
        ("optional.of(1).optFlatMap(x, optional.of(x))", (3, 16)),
        ("cel.bind(x, 'abcdefghijk', x == x)", (13, 14)),
        ("'abc'.matches('^a') || matches('abc', '^a')", (1, 2)),
        ("Object{a: 1}.a", (41, 41)),
        ("dyn('abcdefghijk') == 'abcdefghijkl'", (2, 3)),
        ("true ? 'a' : 'bc' + 'd'", (0, 1)),
        ("'a' in ['a', 'b'] && 'a' in {'a': 1}", (12, 43)),
        ("sets.equivalent([1, 2], [1, 2, 3])", (33, 33)),
        ("[1] + [2, 3] == [1, 2, 3]", (32, 32)),
        ("bytes('abcdefghijk') == b'abc' && string(b'abcdefgh') == 'ab'", (3, 5)),
        ("{'a': 1}.a + [1][0]", (43, 43)),
    ] {
        assert_eq!(constant(source), want, "{source}");
    }
}

/// The numbers are those of `TestCostEstimation` in
/// `apiextensions-apiserver/pkg/apiserver/schema/cel/compilation_test.go`.
#[test]
fn declared_sizes_bound_what_is_done_with_values() {
    let texts = Type::list(Type::String);
    let by_name = Type::map(Type::String);
    for (source, own, sizes, most) in [
        ("self.all(x, true)", Type::list(Type::Double), list(10, sized(0)), 32),
        ("self.all(x, self.all(y, true))", Type::list(Type::Double), list(10, sized(0)), 352),
        ("self.all(x, x == 0.0)", Type::list(Type::Double), list(3 * 1024 * 2048, sized(0)), 25_165_826),
        ("has(self.x)", by_name.clone(), map(100, sized(8)), 1),
        ("self.contains('test')", Type::String, sized(40), 5),
        ("self.startsWith('test')", Type::String, sized(60), 2),
        ("size(self + 'hello') > size('hello')", Type::String, sized(16), 7),
        ("self[1] == self[1]", texts.clone(), list(8, sized(3 << 20)), 314_577),
        ("self.matches('x')", Type::String, sized(200), 22),
        ("self.matches('')", Type::String, sized(400), 1),
        ("self == b'x'", Type::Bytes, sized(0), 1),
        ("self[0][0] == -1.0", Type::list(Type::list(Type::Double)), list(51, list(51, sized(0))), 3),
        ("self[0] == 5", Type::list(Type::Dyn), list(10, sized(3 << 20)), 3),
        ("self.all(x, x.contains(self[x]))", by_name, map(10, sized(40)), 72),
        ("self.find('[0-9]+') == ''", Type::String, sized(40), 11),
        ("self.join(' ') == 'aa bb'", texts.clone(), list(10, sized(40)), 43),
        ("self.isSorted() == true", texts, list(10, sized(40)), 52),
        ("self.lowerAscii() == 'lower!'", Type::String, sized(40), 6),
    ] {
        assert_eq!(between(source, own, &sizes).1, most, "{source}");
    }
    let own = || Type::record("T", [("str", Type::String), ("before", Type::String), ("after", Type::String)]);
    let sizes = object([("str", sized(16)), ("before", sized(8)), ("after", sized(16))]);
    assert_eq!(between("self.str.replace(self.before, self.after) == 'does not matter'", own(), &sizes).1, 12);
    let sizes = object([("str", sized(40)), ("before", sized(40))]);
    assert_eq!(between("self.str.split(self.before) == []", own(), &sizes).1, 22);
}

/// Upstream takes what a path starts with for the name of the variable, whatever it is.
#[test]
fn what_is_computed_passes_for_the_variable() {
    let own = || Type::record("T", [("list", Type::list(Type::String))]);
    let sizes = object([("list", list(10, sized(40)))]);
    for (source, most) in [
        // Objects have no size, so there is nothing to compare.
        ("['abc'].all(x, x == 'abc')", 15),
        ("optional.of(self).value().list == ['a']", 14),
    ] {
        assert_eq!(between(source, own(), &sizes).1, most, "{source}");
    }
}

#[test]
fn what_nothing_bounds_costs_without_bound() {
    let unknown = Declared::default();
    assert_eq!(between("self.all(x, x.all(y, true))", Type::list(Type::list(Type::Int)), &unknown), (2, u64::MAX));
    assert!(between("self == 'abc' || self == self", Type::String, &unknown).1 > 1 << 60);
}

#[test]
fn deep_expressions_are_estimated() {
    assert_eq!(constant(&format!("1{}", " + 1".repeat(190))), (190, 190));
    assert_eq!(constant(&format!("{}1{}", "[".repeat(70), "]".repeat(70))), (700, 700));
    let nested = "[1, 2].all(x, ".repeat(60) + "true" + &")".repeat(60);
    assert_eq!(constant(&nested).1, u64::MAX);
}

/// Numbers that cost at most what is expected. Paths that start with what has been computed are left out:
/// they cost a step more than upstream expects them to.
const NUMBERS: &[&str] = &[
    "self.n",
    "3",
    "(self.n + self.n * 2)",
    "self.list.size()",
    "self.list.map(e, e + self.n).size()",
    "self.list.map(e, e > 1, [e, e + 1]).size()",
    "{'a': self.n, 'b': 1}.size()",
    "string(self.n).size()",
    "'a,b,c'.split(',').size()",
    "(string(self.n) + 'abcdefghijkl').indexOf('c')",
    "optional.of(self.n).optMap(v, v + 1).orValue(0)",
    "self.list.transformMap(i, e, i + e).size()",
];

/// Makes up conditions, the same ones in every run.
struct Author(u64);

impl Author {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from[(self.0 >> 33) as usize % from.len()]
    }

    fn condition(&mut self, depth: u32) -> String {
        let forms = ["n", "has", "&&", "||", "?", "all", "exists", "one", "!", "filter", "keys"];
        let form = self.pick(if depth == 0 { &forms[..2] } else { &forms });
        let part = |author: &mut Self| author.condition(depth - 1);
        match form {
            "n" => format!("{} {} {}", self.pick(NUMBERS), self.pick(&["<", ">=", ">", "<="]), self.pick(NUMBERS)),
            "has" => "has(self.n)".into(),
            "&&" | "||" => format!("({} {form} {})", part(self), part(self)),
            "?" => format!("(({}) ? ({}) : ({}))", part(self), part(self), part(self)),
            "all" => format!("self.list.all(e, e > 1 || {})", part(self)),
            "exists" => format!("self.list.exists(i, e, i < e && {})", part(self)),
            "one" => format!("self.list.exists_one(e, {})", part(self)),
            "!" => format!("!({})", part(self)),
            "filter" => format!("self.list.filter(e, {}).size() > {}", part(self), self.pick(NUMBERS)),
            _ => format!("{{'a': 1, 'b': 2}}.all(k, v, k in {{'a': 1}} && {})", part(self)),
        }
    }
}

#[test]
fn nothing_costs_more_than_its_estimate() {
    let own = Type::record("T", [("n", Type::Int), ("list", Type::list(Type::Int))]);
    let environment = Environment::new().with("self", own);
    for seed in 0..2000_u64 {
        let source = Author(seed).condition(3);
        let count = seed % 7;
        let sizes = object([("n", sized(0)), ("list", list(count, sized(0)))]);
        let program = compile(&source, &environment).unwrap_or_else(|error| panic!("{error}"));
        let expected = estimate(&program, &environment, &sizes);
        let value = serde_json::json!({"n": 2, "list": (0..count).collect::<Vec<_>>()});
        let bindings = Bindings::new().with("self", Value::json(&value));
        let mut budget = Budget::new(1 << 40);
        // Errors end it early, which costs less.
        let _ = evaluate(&program, &bindings, &mut budget);
        let spent = (1 << 40) - budget.left();
        assert!(spent <= expected.max, "{source}: {spent} of {expected:?}, {count} elements");
    }
}
