//! Rules for a text field of a request's body, as Django REST framework's `CharField` has them.

/// How a text field is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextRules {
    /// Whether a new webhook must have it.
    pub(super) required: bool,
    /// Whether it may be null.
    pub(super) null: bool,
    /// Whether it may be empty, or hold nothing but white space.
    pub(super) blank: bool,
    /// The most that it may hold, in characters.
    pub(super) max_length: usize,
    /// Whether white space around it is taken away, as OnCall does with every text. Templates are kept as they were
    /// sent: clients that compare what they sent with what they read would see a difference for ever. Where there is
    /// nothing else, it is blank all the same: a trigger template of one space would never be true.
    pub(super) trim: bool,
}

impl TextRules {
    /// A text that may be left out, null or blank.
    pub(super) const OPTIONAL: Self =
        Self { required: false, null: true, blank: true, max_length: usize::MAX, trim: true };
    /// A text that every webhook has.
    pub(super) const REQUIRED: Self = Self { required: true, null: false, blank: false, ..Self::OPTIONAL };
    /// A template that may be left out, null or blank.
    pub(super) const TEMPLATE: Self = Self { trim: false, ..Self::OPTIONAL };

    /// The same rules with a bound, in characters.
    pub(super) const fn at_most(self, max_length: usize) -> Self {
        Self { max_length, ..self }
    }
}
