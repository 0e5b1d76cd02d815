//! The terminal that stderr goes to.

/// As wide as every terminal is, if it cannot be asked.
const WIDTH: usize = 80;

/// How many characters a line of it has.
pub(crate) fn width() -> usize {
    #[cfg(unix)]
    {
        let size = rustix::termios::tcgetwinsize(std::io::stderr());
        size.map_or(WIDTH, |size| if size.ws_col == 0 { WIDTH } else { usize::from(size.ws_col) })
    }
    #[cfg(not(unix))]
    WIDTH
}
