//! The token that requests to kubelets carry.

use std::path::{Path, PathBuf};

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use tokio::io::AsyncReadExt;

use crate::fetch::FetchError;

/// Tokens are of some kilobytes at most.
const MAX_TOKEN: u64 = 64 << 10;

/// Who asks. A token is in no log and no `Debug` text.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Token {
    /// The content of a file, which is read before each request: service-account tokens rotate within the hour.
    File(PathBuf),
    /// Always this one.
    Fixed(SecretString),
    /// None: for the read-only port, and for kubelets that take anonymous requests.
    None,
}

impl Token {
    /// The value of the `Authorization` header.
    pub(super) async fn header(&self) -> Result<Option<HeaderValue>, FetchError> {
        let (token, place) = match self {
            Self::None => return Ok(None),
            Self::Fixed(token) => (token.clone(), "the builder".to_owned()),
            Self::File(path) => {
                let place = path.display().to_string();
                (read(path).await.map_err(|problem| FetchError::Token { path: place.clone(), problem })?, place)
            }
        };
        let wrong = |problem: &str| FetchError::Token { path: place.clone(), problem: problem.to_owned() };
        let token = token.expose_secret().trim();
        if token.is_empty() {
            return Err(wrong("it is empty"));
        }
        let text = Zeroizing::new(format!("Bearer {token}"));
        let mut header =
            HeaderValue::from_str(&text).map_err(|_| wrong("it has characters that no header may have"))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

async fn read(path: &Path) -> Result<SecretString, String> {
    let file = tokio::fs::File::open(path).await.map_err(|error| error.to_string())?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_TOKEN + 1).read_to_string(&mut text).await.map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_TOKEN {
        return Err("it is too long for a token".to_owned());
    }
    Ok(SecretString::from(text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn header(token: Token) -> Result<String, String> {
        let header = token.header().await.map_err(|error| error.to_string())?.unwrap();
        assert!(header.is_sensitive() && !format!("{header:?} {token:?}").contains("s3cret"));
        Ok(header.to_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn a_file_is_read_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let token = || Token::File(file.clone());
        std::fs::write(&file, "s3cret-1\n").unwrap();
        assert_eq!(header(token()).await.unwrap(), "Bearer s3cret-1");
        std::fs::write(&file, "s3cret-2").unwrap();
        assert_eq!(header(token()).await.unwrap(), "Bearer s3cret-2");
        for (content, problem) in [("\n", "empty"), ("s3c\nret", "characters"), (&"x".repeat(70_000), "too long")] {
            std::fs::write(&file, content).unwrap();
            let error = header(token()).await.unwrap_err();
            assert!(error.contains(problem) && error.contains("automountServiceAccountToken"), "{error}");
            assert!(!error.contains("s3c"), "{error}");
        }
        std::fs::remove_file(&file).unwrap();
        assert!(header(token()).await.unwrap_err().contains("No such file"));
    }

    #[tokio::test]
    async fn a_fixed_token_stays_and_none_is_none() {
        assert_eq!(header(Token::Fixed("s3cret".into())).await.unwrap(), "Bearer s3cret");
        assert!(Token::None.header().await.unwrap().is_none());
    }
}
