package masks

// Overlay is the overlay, for tests.
var Overlay = overlay
