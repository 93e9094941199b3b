//! Whether a pod has to show that it may have an image that is here already.
//!
//! Upstream: `pkg/kubelet/images/pullmanager/image_pull_policies.go`.

/// `imagePullCredentialsVerificationPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Never: who knows an image's name may have it.
    Never,
    /// Unless nobody here has pulled it: it came with the node.
    Preloaded,
    /// Unless the administrator names the image.
    Allowlisted(Vec<Pattern>),
    /// Always.
    Always,
}

/// An image that everybody may have, or the place of such images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// One, without tag or digest.
    Image(String),
    /// All whose names begin like this.
    Below(String),
}

/// Why a policy is none.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyError {
    #[error(
        "option {0:?} specified for imagePullCredentialsVerificationPolicy. Valid options are \"NeverVerify\", \
         \"NeverVerifyPreloadedImages\", \"NeverVerifyAllowlistedImages\" or \"AlwaysVerify\""
    )]
    Name(String),
    #[error(
        "can't set `preloadedImagesVerificationAllowlist` if `imagePullCredentialsVertificationPolicy` is not \
         \"NeverVerifyAllowlistedImages\""
    )]
    List,
    #[error("invalid image pattern in `preloadedImagesVerificationAllowlist`: {0}")]
    Pattern(#[from] PatternError),
}

/// Why a pattern is none.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PatternError {
    #[error("leading/trailing spaces are not allowed: {0}")]
    Spaces(String),
    #[error("the supplied pattern is too short: {0}")]
    Short(String),
    #[error("not a valid wildcard pattern, only patterns ending with '/*' are allowed: {0}")]
    Wildcard(String),
    #[error("at least registry hostname is required")]
    NoHost,
    #[error("neither tag nor digest is accepted in an image reference: {0}")]
    Tagged(String),
}

impl Policy {
    /// The policy of this name, with a list that only one of them has.
    pub fn parse(name: &str, list: &[String]) -> Result<Self, PolicyError> {
        let policy = match name {
            "NeverVerify" => Self::Never,
            "NeverVerifyPreloadedImages" => Self::Preloaded,
            "AlwaysVerify" => Self::Always,
            "NeverVerifyAllowlistedImages" => {
                let patterns: Result<_, _> = list.iter().map(|pattern| Pattern::parse(pattern)).collect();
                return Ok(Self::Allowlisted(patterns?));
            }
            other => return Err(PolicyError::Name(other.to_owned())),
        };
        if list.is_empty() { Ok(policy) } else { Err(PolicyError::List) }
    }

    /// Whether a pod has to show credentials for an image; `pulled` says that a kubelet has pulled it.
    pub fn verifies(&self, image: &str, pulled: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Preloaded => pulled,
            Self::Allowlisted(patterns) => {
                let name = untagged(image);
                !patterns.iter().any(|pattern| pattern.names(name))
            }
            Self::Always => true,
        }
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, PatternError> {
        if text.trim() != text {
            return Err(PatternError::Spaces(text.to_owned()));
        }
        let place = text.strip_suffix('*').filter(|place| place.ends_with('/'));
        match place.unwrap_or(text) {
            "" => Err(PatternError::Short(text.to_owned())),
            rest if rest.contains('*') => Err(PatternError::Wildcard(text.to_owned())),
            "/" => Err(PatternError::NoHost),
            place if place.ends_with('/') => Ok(Self::Below(place.to_owned())),
            image if untagged(image) != image => Err(PatternError::Tagged(text.to_owned())),
            image => Ok(Self::Image(image.to_owned())),
        }
    }

    fn names(&self, image: &str) -> bool {
        match self {
            Self::Image(name) => name == image,
            Self::Below(place) => image.starts_with(place.as_str()),
        }
    }
}

/// The name of an image as a pod has it, without tag and digest.
pub fn untagged(image: &str) -> &str {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_to_show_credentials() {
        let list = ["r.test/team/*", "r.test/one"].map(str::to_owned);
        let allow = Policy::parse("NeverVerifyAllowlistedImages", &list).unwrap();
        for (policy, image, pulled, want) in [
            (&Policy::Never, "a", true, false),
            (&Policy::Preloaded, "a", true, true),
            (&Policy::Preloaded, "a", false, false),
            (&Policy::Always, "a", false, true),
            (&allow, "r.test/team/a:1", true, false),
            (&allow, "r.test/one@sha256:ab", false, false),
            (&allow, "r.test/one/more", false, true),
            (&allow, "r.test/teams", true, true),
        ] {
            assert_eq!(policy.verifies(image, pulled), want, "{policy:?} {image}");
        }
    }

    #[test]
    fn what_is_no_policy() {
        for (name, list, want) in [
            ("Sometimes", "", "option \"Sometimes\" specified for"),
            ("AlwaysVerify", "a", "can't set `preloadedImagesVerificationAllowlist`"),
            ("NeverVerifyAllowlistedImages", " a", "leading/trailing spaces"),
            ("NeverVerifyAllowlistedImages", "/*", "at least registry hostname"),
            ("NeverVerifyAllowlistedImages", "r.test/a*", "not a valid wildcard pattern"),
            ("NeverVerifyAllowlistedImages", "r.test/a:1", "neither tag nor digest"),
        ] {
            let list: Vec<String> = Some(list.to_owned()).filter(|list| !list.is_empty()).into_iter().collect();
            let why = Policy::parse(name, &list).unwrap_err().to_string();
            assert!(why.contains(want), "{why}");
        }
        let short = Policy::parse("NeverVerifyAllowlistedImages", &[String::new()]).unwrap_err().to_string();
        assert!(short.contains("too short"), "{short}");
    }

    #[test]
    fn names_without_tags() {
        for (image, want) in [("a:1", "a"), ("h:5000/a", "h:5000/a"), ("h:5000/a:1@sha256:ab", "h:5000/a"), ("a", "a")]
        {
            assert_eq!(untagged(image), want);
        }
    }
}
