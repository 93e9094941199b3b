//! A gRPC service on a Unix socket.

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::codegen::Service;

/// More connections than a node has plugins and agents; others wait.
const MOST: usize = 256;

/// Accepts for ever. Connections end with the future that holds them.
pub async fn serve<S>(listener: UnixListener, service: S)
where
    S: Service<http::Request<Incoming>, Response = http::Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MOST => {
                let Ok((stream, _)) = accepted else { return };
                let service = service.clone();
                let answer = service_fn(move |request| service.clone().call(request));
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                connections.spawn(builder.serve_connection(TokioIo::new(stream), answer));
            }
        }
    }
}
