"""Pure analysis: frames and numbers in, frames and numbers out; no clock, network, file or plot."""
