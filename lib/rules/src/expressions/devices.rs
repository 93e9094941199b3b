//! Selectors of devices.
//!
//! Upstream: `dynamic-resource-allocation/cel/compile.go`.

use cel::{Environment, Opaque, Program, Sizes, Step, Type};

/// What a selector may cost: `CELSelectorExpressionMaxCost`.
const LIMIT: u64 = 1_000_000;

/// The longest name of a driver or domain: `DriverNameMaxLength`, `DeviceMaxDomainLength`.
const DOMAIN: u64 = 63;

/// The longest name of an attribute or capacity: `DeviceMaxIDLength`.
const NAME: u64 = 32;

/// The longest attribute: `DeviceAttributeMaxValueLength`.
const ATTRIBUTE: u64 = 64;

/// Most attributes or capacities of a device: `ResourceSliceMaxAttributesAndCapacitiesPerDevice`.
const PER_DEVICE: u64 = 32;

/// What is wrong with a selector.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// It does not compile, or not to what it must.
    #[error("{0}")]
    Invalid(String),
    /// It could cost too much on a device as large as they may be.
    #[error("too complex, exceeds cost limit")]
    TooComplex,
}

/// Compiles a selector of devices that somebody wants to store.
pub fn device_selector(source: &str) -> Result<Program, SelectorError> {
    let environment = environment();
    let program = compile(source, &environment)?;
    match cel::estimate(&program, &environment, &Part::Device).max {
        cost if cost > LIMIT => Err(SelectorError::TooComplex),
        _ => Ok(program),
    }
}

/// Compiles a selector of devices that is stored: what it may cost is only known when it runs.
pub fn stored_selector(source: &str) -> Result<Program, SelectorError> {
    compile(source, &environment())
}

fn compile(source: &str, environment: &Environment) -> Result<Program, SelectorError> {
    let program = cel::compile(source, environment).map_err(|error| SelectorError::Invalid(error.reason()))?;
    if matches!(program.result_type(), Type::Bool | Type::Dyn) {
        return Ok(program);
    }
    let of = program.result_type().declared();
    Err(SelectorError::Invalid(format!("must evaluate to bool or the unknown type, not {of}")))
}

fn environment() -> Environment {
    let by_domain = |of: Type| Type::map(Type::map(of));
    let device = Type::record(
        "kubernetes.DRADevice",
        [
            ("driver", Type::String),
            ("allowMultipleAllocations", Type::Bool),
            ("attributes", by_domain(Type::Dyn)),
            ("capacity", by_domain(Type::Opaque(Opaque::Quantity))),
        ],
    );
    Environment::new().with("device", device).with_binding()
}

/// A part of a device.
#[derive(Debug)]
enum Part {
    Device,
    Driver,
    /// A flag, which upstream counts here, unlike those of definitions.
    MultipleAllocations,
    AttributesByDomain,
    Attributes,
    Attribute,
    CapacityByDomain,
    Capacity,
    Quantity,
    /// A key of what is by domain.
    Domain,
    /// A key of attributes or capacities.
    Name,
}

impl Sizes for Part {
    fn most(&self) -> Option<u64> {
        match self {
            // Nobody measures devices, but what has been computed passes for one.
            Part::Device => None,
            Part::Driver | Part::Domain => Some(DOMAIN),
            Part::MultipleAllocations => Some(1),
            Part::AttributesByDomain | Part::Attributes | Part::CapacityByDomain | Part::Capacity => Some(PER_DEVICE),
            Part::Attribute => Some(ATTRIBUTE),
            Part::Quantity => Some(0),
            Part::Name => Some(NAME),
        }
    }

    fn part(&self, step: Step<'_>) -> Option<&dyn Sizes> {
        let part = match (self, step) {
            (Part::Device, Step::Field("driver")) => &Part::Driver,
            (Part::Device, Step::Field("allowMultipleAllocations")) => &Part::MultipleAllocations,
            (Part::Device, Step::Field("attributes")) => &Part::AttributesByDomain,
            (Part::Device, Step::Field("capacity")) => &Part::CapacityByDomain,
            (Part::AttributesByDomain | Part::CapacityByDomain, Step::Keys) => &Part::Domain,
            (Part::AttributesByDomain, Step::Elements) => &Part::Attributes,
            (Part::CapacityByDomain, Step::Elements) => &Part::Capacity,
            (Part::Attributes | Part::Capacity, Step::Keys) => &Part::Name,
            // Whatever they are called, attributes are alike.
            (Part::Attributes, Step::Elements | Step::Field(_)) => &Part::Attribute,
            (Part::Capacity, Step::Elements) => &Part::Quantity,
            _ => return None,
        };
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_types() {
        for source in [
            "device.driver == 'a.example.com' && device.capacity['a.example.com'].memory.isGreaterThan(quantity('1Gi'))",
            "device.attributes['a.example.com'].isFast",
            "cel.bind(own, device.attributes['a.example.com'], own.model == 'x' && own.size > 1)",
        ] {
            assert_eq!(device_selector(source).map(drop), Ok(()), "{source}");
        }
        for (source, want) in [
            ("device.drver == ''", "compilation failed: ERROR: <input>:1:7: undefined field 'drver'"),
            ("device.driver", "must evaluate to bool or the unknown type, not string"),
        ] {
            let error = device_selector(source).expect_err(source).to_string();
            assert!(error.starts_with(want), "{error}");
        }
    }

    /// Dear on any device.
    fn loops() -> String {
        let loops = ["x", "y", "z", "z2", "z3", "z4", "z5"];
        let loops: String = loops.iter().map(|x| format!("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].all({x}, ")).collect();
        format!("{loops}int('1'.find('[0-9]*')) < 100)))))))")
    }

    /// The numbers are those of `dynamic-resource-allocation/cel/compile_test.go`.
    #[test]
    fn selectors_cost_what_they_cost_upstream() {
        let environment = environment();
        for (source, want) in [
            ("true", 0),
            ("device.attributes['no-such-domain'].noSuchAttr.isGreaterThan(quantity('0'))", 6),
            ("'dra.example.com' in device.attributes", 3),
            ("device.driver == ''", 2),
            ("device.driver == 'dra.example.com'", 4),
            ("device.attributes['dra.example.com']['name']", 4),
            ("cel.bind(dra, device.attributes['dra.example.com'], dra.name)", 15),
            ("device.attributes['dra.example.com'].name == 'fish'", 5),
            ("device.attributes['dra.example.com'].name > 0", 5),
            (
                "device.attributes['dra.example.com'].name.isGreaterThan(semver('v0.0.1', true)) && isSemver('v1.0.0', true)",
                7,
            ),
            (
                "!('name' in device.capacity['dra.example.com']) || \
                 device.capacity['dra.example.com'].name.isGreaterThan(quantity('1Ki'))",
                11,
            ),
            ("device.attributes.exists_one(x, x == 'dra.example.com')", 164),
            ("device.capacity['dra.example.com'].exists_one(x, x == 'memory')", 133),
            ("device.attributes['dra.example.com'].services.split('example').size() >= 2", 19),
            ("device.attributes['dra.example.com'].services.matches('[^a]?sym')", 18),
            ("device.allowMultipleAllocations == true", 3),
            (&loops(), 85_555_551),
        ] {
            let program = cel::compile(source, &environment).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(cel::estimate(&program, &environment, &Part::Device).max, want, "{source}");
        }
    }

    #[test]
    fn selectors_may_not_cost_too_much() {
        assert_eq!(device_selector(&loops()).map(drop), Err(SelectorError::TooComplex));
    }
}
