//! How many connections one of a kind may have at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Places per key. Keys without a connection are not kept.
#[derive(Debug)]
pub(crate) struct Places<K: Eq + Hash> {
    most: usize,
    taken: Mutex<HashMap<K, usize>>,
}

impl<K: Eq + Hash + Clone> Places<K> {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// A place until it is dropped; `None` if all are taken.
    pub(crate) fn take(self: &Arc<Self>, key: K) -> Option<Place<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(key.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count = count.saturating_add(1);
        drop(taken);
        Some(Place { places: Arc::clone(self), key })
    }
}

/// A place that is taken.
pub(crate) struct Place<K: Eq + Hash + Clone> {
    places: Arc<Places<K>>,
    key: K,
}

impl<K: Eq + Hash + Clone> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

/// Whom an address stands for: one subscriber has a whole /64 of IPv6.
pub(crate) fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_once_it_is_dropped_and_keys_are_forgotten() {
        let places = Places::new(2);
        let (first, second) = (places.take("a"), places.take("a"));
        assert!(first.is_some() && second.is_some() && places.take("a").is_none());
        assert!(places.take("b").is_some());
        drop(first);
        assert!(places.take("a").is_some());
        drop(second);
        assert!(places.taken.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_subscriber() {
        let of = |text: &str| subscriber(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
