package atomicfile

// CreateAt makes an empty file as Write makes its temporary one.
func CreateAt(name string) error {
	f, err := openNew(name)
	if err != nil {
		return err
	}
	return f.Close()
}
