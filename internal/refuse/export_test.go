package refuse

// Errors lists every sentinel of the table.
func Errors() []error {
	var list []error
	for _, r := range table {
		list = append(list, r.err)
	}
	return list
}

// S3Hidden lists the sentinels of rows of S3's table that no error gets to, since
// an earlier row fits all that they do.
func S3Hidden() []error {
	var list []error
	for i, r := range s3Table {
		for j := range i {
			if s3Table[j].fits(r.err, r.part) {
				list = append(list, r.err)
			}
		}
	}
	return list
}
