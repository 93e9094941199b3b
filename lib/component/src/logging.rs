//! Logs go to standard output, one event per line, as text or JSON.
//!
//! Upstream: `component-base/logs`; it logs to standard error, a twelve-factor process does not.

use crate::flags::{Common, LogFormat};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Turns logging on; a second call does nothing.
pub fn init(common: &Common) {
    let filter = EnvFilter::new(directives(common));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stdout);
    // Whoever set a subscriber before (a test) keeps it.
    let _kept = match common.logging_format {
        LogFormat::Text => logs.with_ansi(false).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
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
    fn verbosity_and_modules_become_directives() {
        let common = Common { verbosity: 2, vmodule: "queue=6,bad,x=y".into(), ..Common::default() };
        let directives = directives(&common);
        assert!(directives.starts_with("info,") && directives.ends_with(",queue=trace"), "{directives}");
        assert_eq!((level(0), level(4), level(10)), ("info", "debug", "trace"));
    }
}
