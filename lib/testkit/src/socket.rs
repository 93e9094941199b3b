//! gRPC services of the fakes on unix sockets.

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::future::Future;
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tonic::body::Body;

/// Accepts for ever. Connections end with the set that holds them.
pub(crate) async fn serve<F, A>(listener: UnixListener, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        connections.spawn(builder.serve_connection(TokioIo::new(stream), service_fn(answer.clone())));
    }
}
