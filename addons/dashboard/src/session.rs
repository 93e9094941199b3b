//! Sessions: what a viewer's cookie stands for.
//!
//! The cookie holds the key, the server what it opens: neither a stolen cookie of a session that has ended nor a
//! copy of the server's memory gives a credential away. See `docs/adr/0003-dashboard.md`.

pub mod cookie;

use crate::credential::Credential;
use aes_gcm::aead::rand_core::RngCore as _;
use aes_gcm::aead::{Aead as _, KeyInit as _, OsRng};
use aes_gcm::{Aes256Gcm, Nonce};
use cookie::Cookie;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// How long a session may last, however much it is used.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// Sessions at a time; the one that was not used for the longest time makes room.
const SESSIONS: usize = 1000;
/// Requests of one session at a time, watches included.
const REQUESTS: usize = 100;
/// How often ended sessions are looked for.
const LOOK: Duration = Duration::from_secs(10);

/// A session's number, which is no secret.
pub type Id = [u8; 16];

/// After how long sessions end.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// Without use.
    pub idle: Duration,
    /// In any case.
    pub whole: Duration,
}

impl Lifetime {
    /// So many seconds without use; 0 is no such limit.
    pub fn of_seconds(idle: u64) -> Self {
        let idle = if idle == 0 { LONGEST } else { Duration::from_secs(idle) };
        Self { idle: idle.min(LONGEST), whole: LONGEST }
    }
}

/// All sessions.
#[derive(Debug)]
pub struct Sessions {
    lifetime: Lifetime,
    entries: Mutex<HashMap<Id, Entry>>,
}

/// A session as the server keeps it.
struct Entry {
    sealed: Vec<u8>,
    user: Arc<str>,
    opened: Instant,
    used: Instant,
    end: CancellationToken,
    places: Arc<Semaphore>,
    /// The connections of a session whose credential is a certificate, once they were needed.
    client: Option<kube::Client>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// A session as a request has it.
#[derive(Clone)]
pub struct Session {
    /// Its number.
    pub id: Id,
    /// The user's name, for the log.
    pub user: Arc<str>,
    /// The viewer's credential.
    pub credential: Credential,
    /// Cancelled when the session ends: what streams, stops.
    pub end: CancellationToken,
    /// Places for requests under way.
    pub places: Arc<Semaphore>,
    /// See [`Sessions::keep_client`].
    pub client: Option<kube::Client>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("user", &self.user)
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

/// Whether a request shows that somebody is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A viewer did something: the session lasts longer.
    Viewer,
    /// The page went on by itself.
    Background,
}

impl Sessions {
    /// None yet.
    pub fn new(lifetime: Lifetime) -> Self {
        Self { lifetime, entries: Mutex::default() }
    }

    /// How long sessions last.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// Begins a session; `None` if the credential cannot be kept.
    pub fn open(&self, credential: &Credential, user: &str, now: Instant) -> Option<Cookie> {
        let cookie = Cookie::random();
        let entry = Entry {
            sealed: seal(&cookie, credential)?,
            user: user.into(),
            opened: now,
            used: now,
            end: CancellationToken::new(),
            places: Arc::new(Semaphore::new(REQUESTS)),
            client: None,
        };
        let mut entries = self.entries.lock();
        if entries.len() >= SESSIONS
            && let Some(oldest) = entries.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id)
        {
            entries.remove(&oldest);
        }
        entries.insert(cookie.id, entry);
        Some(cookie)
    }

    /// The session of a cookie, if it has not ended.
    pub fn find(&self, cookie: &Cookie, usage: Use, now: Instant) -> Option<Session> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(&cookie.id)?;
        if entry.is_over(self.lifetime, now) {
            entries.remove(&cookie.id);
            return None;
        }
        let credential = unseal(cookie, &entry.sealed)?;
        if usage == Use::Viewer {
            entry.used = now;
        }
        let (user, end) = (Arc::clone(&entry.user), entry.end.clone());
        let (places, client) = (Arc::clone(&entry.places), entry.client.clone());
        Some(Session { id: cookie.id, user, credential, end, places, client })
    }

    /// Keeps the connections of a session until it ends.
    pub fn keep_client(&self, id: &Id, client: &kube::Client) {
        if let Some(entry) = self.entries.lock().get_mut(id) {
            entry.client = Some(client.clone());
        }
    }

    /// Ends a session, if the cookie is its own.
    pub fn close(&self, cookie: &Cookie) {
        let mut entries = self.entries.lock();
        if entries.get(&cookie.id).is_some_and(|entry| unseal(cookie, &entry.sealed).is_some()) {
            entries.remove(&cookie.id);
        }
    }

    /// Ends sessions in time, so that their streams stop, for as long as it is polled.
    pub async fn expire(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.sweep(Instant::now());
        }
    }

    fn sweep(&self, now: Instant) {
        self.entries.lock().retain(|_, entry| !entry.is_over(self.lifetime, now));
    }
}

impl Entry {
    fn is_over(&self, lifetime: Lifetime, now: Instant) -> bool {
        now.duration_since(self.used) >= lifetime.idle || now.duration_since(self.opened) >= lifetime.whole
    }
}

/// A key seals one text only, so that the nonce may be the same for all.
fn nonce() -> Nonce<aes_gcm::aead::consts::U12> {
    Nonce::default()
}

fn seal(cookie: &Cookie, credential: &Credential) -> Option<Vec<u8>> {
    let text = Zeroizing::new(serde_json::to_vec(credential).ok()?);
    Aes256Gcm::new_from_slice(&*cookie.key).ok()?.encrypt(&nonce(), text.as_slice()).ok()
}

fn unseal(cookie: &Cookie, sealed: &[u8]) -> Option<Credential> {
    let text = Aes256Gcm::new_from_slice(&*cookie.key).ok()?.decrypt(&nonce(), sealed).ok()?;
    serde_json::from_slice(&Zeroizing::new(text)).ok()
}

/// Random bytes of the system.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn token() -> Credential {
        Credential::Token("secret-token".to_owned().into())
    }

    fn sessions() -> Sessions {
        Sessions::new(Lifetime::of_seconds(900))
    }

    #[test]
    fn a_cookie_opens_its_own_session_only() {
        let (sessions, now) = (sessions(), Instant::now());
        let cookie = sessions.open(&token(), "jane", now).expect("a session");
        let session = sessions.find(&cookie, Use::Viewer, now).expect("found");
        assert_eq!((session.credential.clone(), &*session.user), (token(), "jane"));
        let wrong_key = Cookie { id: cookie.id, ..Cookie::random() };
        assert!(sessions.find(&wrong_key, Use::Viewer, now).is_none());
        assert!(sessions.find(&Cookie::random(), Use::Viewer, now).is_none());
        sessions.close(&wrong_key);
        assert!(sessions.find(&cookie, Use::Viewer, now).is_some(), "others cannot end it");
        sessions.close(&cookie);
        assert!(sessions.find(&cookie, Use::Viewer, now).is_none());
        assert!(session.end.is_cancelled());
    }

    #[test]
    fn credentials_are_not_kept_in_the_clear() {
        let (sessions, now) = (sessions(), Instant::now());
        let cookie = sessions.open(&token(), "jane", now).expect("a session");
        let entries = sessions.entries.lock();
        let sealed = &entries[&cookie.id].sealed;
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
    }

    #[test]
    fn sessions_end_without_use_and_after_a_day_s_work() {
        let (sessions, start) = (sessions(), Instant::now());
        let cookie = sessions.open(&token(), "jane", start).expect("a session");
        let find = |usage, minutes: u32| sessions.find(&cookie, usage, start + MINUTE * minutes);
        assert!(find(Use::Viewer, 14).is_some());
        assert!(find(Use::Background, 28).is_some());
        assert!(find(Use::Background, 29).is_none(), "the page alone does not keep it");
        let cookie = sessions.open(&token(), "jane", start).expect("a session");
        for minutes in (0..720).step_by(10) {
            assert!(sessions.find(&cookie, Use::Viewer, start + MINUTE * minutes).is_some(), "{minutes}");
        }
        assert!(sessions.find(&cookie, Use::Viewer, start + MINUTE * 720).is_none());
    }

    #[test]
    fn the_end_of_a_session_is_told_to_what_streams() {
        let (sessions, start) = (sessions(), Instant::now());
        let cookie = sessions.open(&token(), "jane", start).expect("a session");
        let session = sessions.find(&cookie, Use::Viewer, start).expect("found");
        sessions.sweep(start + MINUTE * 14);
        assert!(!session.end.is_cancelled());
        sessions.sweep(start + MINUTE * 15);
        assert!(session.end.is_cancelled());
    }

    #[test]
    fn sessions_are_bounded() {
        let (sessions, start) = (sessions(), Instant::now());
        let open =
            |n: u32| sessions.open(&token(), "jane", start + Duration::from_millis(n.into())).expect("a session");
        let cookies: Vec<Cookie> = (0..=SESSIONS as u32).map(open).collect();
        let now = start + MINUTE;
        assert!(sessions.find(&cookies[0], Use::Viewer, now).is_none());
        assert!(sessions.find(&cookies[1], Use::Viewer, now).is_some());
    }
}
