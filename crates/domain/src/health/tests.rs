//! Laws of the state machine.
