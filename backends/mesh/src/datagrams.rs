//! Datagrams on their way out, packed so that neighbours to one endpoint leave in one system call.
//!
//! UDP segmentation offload takes one buffer and a segment size: every datagram but the last has
//! that size. So datagrams are written one behind the other, and a *train* is as long as that rule
//! allows. Knows neither sockets nor what datagrams carry.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// Datagrams of one train at most: `UDP_MAX_SEGMENTS` of Linux before 6.9, which made it 128.
const TRAIN_DATAGRAMS: usize = 64;
/// Bytes of one train at most: the largest UDP payload over IPv4 (65,535 − 20 − 8).
const TRAIN_BYTES: usize = 65_507;

/// Where a peer is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address and port.
    pub remote: SocketAddr,
    /// Our address that it last sent to: on a host with several, answers leave from the same one.
    pub local: Option<IpAddr>,
}

impl From<SocketAddr> for Endpoint {
    fn from(remote: SocketAddr) -> Self {
        let local = None;
        Self { remote, local }
    }
}

struct Train {
    to: Endpoint,
    bytes: Range<usize>,
    segment: usize,
    count: usize,
}

impl Train {
    fn takes(&self, to: Endpoint, len: usize) -> bool {
        let full_segments = self.bytes.len() == self.segment * self.count;
        self.to == to
            && full_segments
            && len <= self.segment
            && self.count < TRAIN_DATAGRAMS
            && self.bytes.len() + len <= TRAIN_BYTES
    }
}

/// Datagrams in the order they are to be sent. Its memory is kept from batch to batch.
#[derive(Default)]
pub struct Datagrams {
    bytes: Vec<u8>,
    len: usize,
    trains: Vec<Train>,
}

impl Datagrams {
    /// At least `len` bytes to write the next datagram to.
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        let end = self.len + len;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.len..]
    }

    /// The first `len` bytes of the room are a datagram.
    pub(crate) fn commit(&mut self, to: Endpoint, len: usize) {
        assert!(self.len + len <= self.bytes.len(), "a datagram is in room");
        let bytes = self.len..self.len + len;
        self.len = bytes.end;
        match self.trains.last_mut().filter(|train| train.takes(to, len)) {
            Some(train) => {
                train.bytes.end = bytes.end;
                train.count += 1;
            }
            None => self.trains.push(Train {
                to,
                bytes,
                segment: len,
                count: 1,
            }),
        }
    }

    pub(crate) fn push(&mut self, to: Endpoint, datagram: &[u8]) {
        self.room(datagram.len())[..datagram.len()].copy_from_slice(datagram);
        self.commit(to, datagram.len());
    }

    /// Bytes that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.len
    }

    /// What to send: where to, the bytes, and the size of each datagram in them but the last,
    /// which may be shorter.
    pub fn trains(&self) -> impl Iterator<Item = (Endpoint, &[u8], usize)> {
        let show = |train: &Train| (train.to, train.bytes.clone(), train.segment);
        let trains = self.trains.iter().map(show);
        trains.map(|(to, bytes, segment)| (to, &self.bytes[bytes], segment))
    }

    /// All of it was sent.
    pub fn clear(&mut self) {
        self.len = 0;
        self.trains.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(port: u16) -> Endpoint {
        SocketAddr::from(([192, 0, 2, 1], port)).into()
    }

    fn shape(sizes: &[(u16, usize)]) -> Vec<(u16, usize, usize)> {
        let mut out = Datagrams::default();
        for (port, len) in sizes {
            out.push(endpoint(*port), &vec![7; *len]);
        }
        let trains = out.trains();
        let shape = trains.map(|(to, bytes, segment)| (to.remote.port(), bytes.len(), segment));
        shape.collect()
    }

    #[test]
    fn neighbours_to_one_endpoint_share_a_train() {
        type Sizes = &'static [(u16, usize)];
        type Trains = &'static [(u16, usize, usize)];
        let cases: &[(Sizes, Trains)] = &[
            (&[], &[]),
            (&[(1, 9)], &[(1, 9, 9)]),
            (&[(1, 9), (1, 9)], &[(1, 18, 9)]),
            // A shorter one ends the train, and nothing comes after it.
            (&[(1, 9), (1, 5), (1, 5)], &[(1, 14, 9), (1, 5, 5)]),
            // A longer one needs a train of its own.
            (&[(1, 5), (1, 9)], &[(1, 5, 5), (1, 9, 9)]),
            (
                &[(1, 9), (2, 9), (1, 9)],
                &[(1, 9, 9), (2, 9, 9), (1, 9, 9)],
            ),
        ];
        for (sizes, expected) in cases {
            assert_eq!(shape(sizes), *expected, "{sizes:?}");
        }
    }

    #[test]
    fn a_train_ends_where_the_kernel_says() {
        assert_eq!(shape(&[(1, 32); 65]), [(1, 64 * 32, 32), (1, 32, 32)]);
        let long = shape(&[(1, 1452); 46]);
        assert_eq!(long, [(1, 45 * 1452, 1452), (1, 1452, 1452)]);
    }

    #[test]
    fn an_endpoint_reached_from_another_address_is_another_one() {
        let mut out = Datagrams::default();
        out.push(endpoint(1), &[1; 8]);
        let local = Some(IpAddr::from([192, 0, 2, 9]));
        out.push(
            Endpoint {
                local,
                ..endpoint(1)
            },
            &[2; 8],
        );
        let bytes: Vec<_> = out.trains().map(|(_, bytes, _)| bytes.to_vec()).collect();
        assert_eq!(bytes, [[1; 8], [2; 8]]);
        out.clear();
        assert_eq!((out.waiting(), out.trains().count()), (0, 0));
    }
}
