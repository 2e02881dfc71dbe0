package mask

// DetectorNames lists the built-in detectors and their sets.
var DetectorNames = detectorNames
