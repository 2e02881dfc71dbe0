package refuse

// Errors lists every sentinel of the table.
func Errors() []error {
	var list []error
	for _, r := range table {
		list = append(list, r.err)
	}
	return list
}
