//! Requests that end with their last message.
//!
//! tonic learns that nothing follows a message only when it asks for the next one, so that the end of each request goes
//! to etcd as an empty frame of its own: with a large object that is another TLS record, another system call, and
//! another wakeup of etcd.

use bytes::Bytes;
use http_body::Frame;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tonic::body::Body;

/// A body that knows with each frame whether it is the last one, if the body in it knows by then.
pub(super) struct LookAhead {
    body: Body,
    next: Option<Result<Frame<Bytes>, tonic::Status>>,
    /// Nothing comes after `next`.
    is_over: bool,
}

impl LookAhead {
    pub(super) fn new(body: Body) -> Self {
        Self { body, next: None, is_over: false }
    }

    /// Asks for a frame, unless there is one already or will be none.
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.next.is_none() && !self.is_over {
            self.next = ready!(http_body::Body::poll_frame(Pin::new(&mut self.body), cx));
            self.is_over = self.next.is_none();
        }
        Poll::Ready(())
    }
}

impl http_body::Body for LookAhead {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        ready!(self.look(cx));
        let frame = self.next.take();
        // What is not known yet is asked for again.
        let _ = self.look(cx);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && (self.is_over || self.body.is_end_stream())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Body as _;
    use std::collections::VecDeque;

    /// Frames as they come: `None` is one that is not there yet.
    struct Script(VecDeque<Option<Result<&'static [u8], tonic::Status>>>);

    impl http_body::Body for Script {
        type Data = Bytes;
        type Error = tonic::Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(None) => Poll::Pending,
                Some(Some(bytes)) => Poll::Ready(Some(bytes.map(|bytes| Frame::data(Bytes::from_static(bytes))))),
            }
        }
    }

    /// What a reader sees of a body: what each poll gives, and whether it is the end.
    fn read(script: impl IntoIterator<Item = Option<Result<&'static [u8], tonic::Status>>>) -> Vec<(String, bool)> {
        let mut body = LookAhead::new(Body::new(Script(script.into_iter().collect())));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut seen = Vec::new();
        for _ in 0..9 {
            let frame = match Pin::new(&mut body).poll_frame(&mut cx) {
                Poll::Pending => "pending".to_owned(),
                Poll::Ready(None) => "none".to_owned(),
                Poll::Ready(Some(Err(status))) => status.message().to_owned(),
                Poll::Ready(Some(Ok(frame))) => {
                    String::from_utf8_lossy(&frame.into_data().unwrap_or_default()).into_owned()
                }
            };
            let is_over = frame == "none";
            seen.push((frame, body.is_end_stream()));
            if is_over {
                return seen;
            }
        }
        seen
    }

    fn seen<const N: usize>(steps: [(&str, bool); N]) -> Vec<(String, bool)> {
        steps.map(|(frame, ends)| (frame.to_owned(), ends)).to_vec()
    }

    #[test]
    fn one_message_is_the_end() {
        assert_eq!(read([Some(Ok(&b"a"[..]))]), seen([("a", true), ("none", true)]));
    }

    #[test]
    fn the_last_of_several_messages_is_the_end() {
        assert_eq!(read([Some(Ok(&b"a"[..])), Some(Ok(b"b"))]), seen([("a", false), ("b", true), ("none", true)]));
    }

    #[test]
    fn what_comes_later_is_waited_for() {
        let script = [None, Some(Ok(&b"a"[..])), None, None, Some(Ok(b"b")), None];
        let expected = [("pending", false), ("a", false), ("pending", false), ("b", false), ("none", true)];
        assert_eq!(read(script), seen(expected));
    }

    #[test]
    fn failures_come_in_their_place() {
        let script = [Some(Ok(&b"a"[..])), Some(Err(tonic::Status::aborted("why")))];
        assert_eq!(read(script), seen([("a", false), ("why", true), ("none", true)]));
    }
}
