//! XDR (RFC 4506), as much of it as libvirt's protocol uses: integers, booleans, strings, opaque
//! bytes, optional values.
//!
//! Knows no message and no procedure.

/// What is wrong with bytes that should be XDR.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Garbled {
    /// They end too early.
    #[error("a message from libvirt ends in the middle of a value")]
    Short,
    /// A string is not UTF-8.
    #[error("a message from libvirt has a string that is not UTF-8")]
    NotText,
}

/// Values on their way out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn i32(self, value: i32) -> Self {
        self.u32(value.cast_unsigned())
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Bytes whose number both sides know, in whole words.
    pub(super) fn fixed(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A string: its length in bytes, then the bytes.
    ///
    /// # Panics
    /// If it has 4 GiB or more, which no document of ours has.
    pub(super) fn text(self, text: &str) -> Self {
        let length = u32::try_from(text.len()).expect("no text of ours has 4 GiB");
        self.u32(length).fixed(text.as_bytes())
    }

    /// A string that is there; libvirt has optional ones in some places.
    pub(super) fn some_text(self, text: &str) -> Self {
        self.u32(1).text(text)
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Values on their way in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Garbled> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Garbled::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Garbled> {
        let word = self.take(4)?;
        Ok(u32::from_be_bytes(word.try_into().expect("four bytes")))
    }

    pub(super) fn i32(&mut self) -> Result<i32, Garbled> {
        self.u32().map(u32::cast_signed)
    }

    #[cfg(test)]
    pub(super) fn u64(&mut self) -> Result<u64, Garbled> {
        let high = u64::from(self.u32()?);
        Ok(high << 32 | u64::from(self.u32()?))
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Garbled> {
        let bytes = self.take(N)?;
        self.take(N.next_multiple_of(4) - N)?;
        Ok(bytes.try_into().expect("as many as were taken"))
    }

    pub(super) fn text(&mut self) -> Result<String, Garbled> {
        let length = self.u32()? as usize;
        let bytes = self.take(length)?;
        self.take(length.next_multiple_of(4) - length)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Garbled::NotText)
    }

    /// A value that may be left out.
    pub(super) fn option<T>(
        &mut self,
        value: impl FnOnce(&mut Self) -> Result<T, Garbled>,
    ) -> Result<Option<T>, Garbled> {
        match self.u32()? {
            0 => Ok(None),
            _ => value(self).map(Some),
        }
    }

    /// A list, its length first.
    pub(super) fn list<T>(
        &mut self,
        mut value: impl FnMut(&mut Self) -> Result<T, Garbled>,
    ) -> Result<Vec<T>, Garbled> {
        let length = self.u32()?;
        // The length is the other side's word: nothing is allocated by it alone.
        (0..length).map(|_| value(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_words_of_four_bytes_big_end_first() {
        let bytes = Encoder::new()
            .u32(7)
            .i32(-2)
            .u64(1 << 32)
            .text("hello")
            .some_text("")
            .fixed(&[9; 16])
            .done();
        let words: Vec<_> = bytes.chunks(4).collect();
        assert_eq!(words[0], [0, 0, 0, 7]);
        assert_eq!(words[1], [255, 255, 255, 254]);
        assert_eq!(words[2..4].concat(), [0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(words[4..7].concat(), *b"\0\0\0\x05hello\0\0\0");
        assert_eq!(words[7..9].concat(), [0, 0, 0, 1, 0, 0, 0, 0]);
        let mut back = Decoder::new(&bytes);
        assert_eq!(back.u32(), Ok(7));
        assert_eq!(back.i32(), Ok(-2));
        assert_eq!(back.u64(), Ok(1 << 32));
        assert_eq!(back.text().as_deref(), Ok("hello"));
        assert_eq!(back.option(Decoder::text), Ok(Some(String::new())));
        assert_eq!(back.fixed(), Ok([9; 16]));
        assert_eq!(back.u32(), Err(Garbled::Short));
    }

    #[test]
    fn what_the_other_side_says_of_lengths_is_not_believed() {
        let long = Encoder::new().u32(u32::MAX).done();
        assert_eq!(Decoder::new(&long).text(), Err(Garbled::Short));
        assert_eq!(Decoder::new(&long).list(Decoder::u32), Err(Garbled::Short));
        let odd = Encoder::new().u32(2).fixed(&[0xc3, 0x28]).done();
        assert_eq!(Decoder::new(&odd).text(), Err(Garbled::NotText));
    }
}
