//! Connects to a node's address while its certificate is checked against the node's name.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Where a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Ip(IpAddr),
    /// By another name of it, which is resolved as usual.
    Name(Arc<str>),
}

/// Where nodes are, by name in lower case, while they are being asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Arc<Mutex<HashMap<String, (Place, usize)>>>);

/// A name that is known until this is dropped.
#[derive(Debug)]
pub(super) struct Known {
    names: Names,
    name: String,
}

impl Names {
    /// From now on, `name` is at `place`; the last word counts.
    pub(super) fn know(&self, name: &str, place: Place) -> Known {
        let name = name.to_ascii_lowercase();
        let mut names = self.0.lock();
        let known = names.entry(name.clone()).or_insert((place.clone(), 0));
        *known = (place, known.1 + 1);
        Known { names: self.clone(), name }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let mut names = self.names.0.lock();
        if let Some(place) = names.get_mut(&self.name) {
            place.1 -= 1;
            if place.1 == 0 {
                names.remove(&self.name);
            }
        }
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let known = self.0.lock().get(&name.as_str().to_ascii_lowercase()).map(|(place, _)| place.clone());
        Box::pin(async move {
            let name = match &known {
                Some(Place::Ip(address)) => {
                    let addresses: Addrs = Box::new(std::iter::once(SocketAddr::new(*address, 0)));
                    return Ok(addresses);
                }
                Some(Place::Name(other)) => other,
                None => name.as_str(),
            };
            let addresses: Addrs = Box::new(tokio::net::lookup_host((name, 0)).await?.collect::<Vec<_>>().into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_known_while_it_is_held() {
        let names = Names::default();
        let first = names.know("Node-1.invalid", Place::Ip([10, 0, 0, 1].into()));
        let second = names.know("node-1.invalid", Place::Ip([10, 0, 0, 2].into()));
        drop(first);
        let found: Vec<_> = names.resolve("node-1.INVALID".parse().unwrap()).await.ok().unwrap().collect();
        assert_eq!(found, [SocketAddr::from(([10, 0, 0, 2], 0))]);
        drop(second);
        assert!(names.0.lock().is_empty());
    }
}
