package awsapi

// SigningNames lists the services that sign with that SigV4 scope service, in
// the order in which they are asked.
func (c *Catalog) SigningNames(name string) []string {
	var out []string
	for _, s := range c.bySigning[name] {
		out = append(out, s.head.ID)
	}
	return out
}
