//! Logs go to standard output, one event per line, as text or JSON.
//!
//! Upstream: `component-base/logs`; it logs to standard error, a twelve-factor process does not.

use crate::flags::{Common, LogFormat};
use parking_lot::Mutex;
use std::sync::OnceLock;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

/// What can be changed while the process runs.
struct Handles {
    common: Mutex<Common>,
    lines: reload::Handle<Lines, Registry>,
    filter: reload::Handle<EnvFilter, tracing_subscriber::layer::Layered<reload::Layer<Lines, Registry>, Registry>>,
}

static HANDLES: OnceLock<Handles> = OnceLock::new();

/// Turns logging on; a second call does nothing.
pub fn init(common: &Common) {
    let (lines, lines_handle) = reload::Layer::new(lines(common));
    let (filter, filter_handle) = reload::Layer::new(EnvFilter::new(directives(common)));
    // Whoever set a subscriber before (a test) keeps it.
    if tracing_subscriber::registry().with(lines).with(filter).try_init().is_ok() {
        let _first =
            HANDLES.set(Handles { common: Mutex::new(common.clone()), lines: lines_handle, filter: filter_handle });
    }
}

/// Changes levels and format, when a configuration file says so that was read after logging began.
pub fn reconfigure(common: &Common) {
    if let Some(handles) = HANDLES.get() {
        // The subscriber lives as long as the process.
        let _kept = handles.lines.reload(lines(common));
        let _kept = handles.filter.reload(EnvFilter::new(directives(common)));
        *handles.common.lock() = common.clone();
    }
}

/// Sets `-v` while the process runs; says so.
///
/// # Errors
/// What Go says of a text that is no number.
///
/// Upstream: `component-base/logs/logs.go` (`GlogSetter`).
pub fn set_verbosity(text: &str) -> Result<String, String> {
    let why = |error: &str| format!("strconv.ParseUint: parsing {text:?}: {error}");
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err(why("invalid syntax"));
    }
    let value = text.parse::<u32>().map_err(|_| why("value out of range"))?;
    let verbosity = i32::try_from(value).map_err(|_| {
        format!("failed set klog.logging.verbosity {text}: strconv.ParseInt: parsing {text:?}: value out of range")
    })?;
    if let Some(handles) = HANDLES.get() {
        let common = Common { verbosity, ..handles.common.lock().clone() };
        reconfigure(&common);
    }
    Ok(format!("successfully set klog.logging.verbosity to {text}"))
}

fn lines(common: &Common) -> Lines {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stdout);
    match common.logging_format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}

/// A subscriber that writes JSON elsewhere, for tools.
pub fn json_to<W>(writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt().json().flatten_event(true).with_writer(writer).finish()
}

/// The levels: `-v` 4 and more is debug, 6 and more is trace; libraries stay a step quieter. rustls
/// warns of every client that names the server by its address, which is most of them.
/// `--vmodule` raises single modules: `scheduler=5`.
fn directives(common: &Common) -> String {
    let own = level(common.verbosity);
    let mut directives = match common.verbosity {
        ..=5 => format!(
            "{own},hyper=warn,hyper_util=warn,h2=warn,rustls=error,tower=warn,kube_core=warn,kube_client=off,kube_runtime=warn"
        ),
        6..=8 => format!("{own},hyper=info,hyper_util=info,h2=info,rustls=info"),
        _ => own.to_owned(),
    };
    for (module, verbosity) in common.vmodule.split(',').filter_map(|pair| pair.split_once('=')) {
        if let Ok(verbosity) = verbosity.trim().parse() {
            let module = module.trim().replace('-', "_").replace('/', "::");
            directives.push_str(&format!(",{module}={}", level(verbosity)));
        }
    }
    directives
}

fn level(verbosity: i32) -> &'static str {
    match verbosity {
        ..=3 => "info",
        4 | 5 => "debug",
        _ => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbosity_is_set_in_gos_words() {
        for (text, want) in [
            ("4", Ok("successfully set klog.logging.verbosity to 4")),
            ("", Err("strconv.ParseUint: parsing \"\": invalid syntax")),
            ("-1", Err("strconv.ParseUint: parsing \"-1\": invalid syntax")),
            ("4294967296", Err("strconv.ParseUint: parsing \"4294967296\": value out of range")),
        ] {
            assert_eq!(set_verbosity(text), want.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn verbosity_and_modules_become_directives() {
        let common = Common { verbosity: 2, vmodule: "queue=6,bad,x=y".into(), ..Common::default() };
        let directives = directives(&common);
        assert!(directives.starts_with("info,") && directives.ends_with(",queue=trace"), "{directives}");
        assert_eq!((level(0), level(4), level(10)), ("info", "debug", "trace"));
    }
}
