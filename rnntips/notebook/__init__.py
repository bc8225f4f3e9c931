"""What a reader meets in a notebook: panels, the lab book, exercises, stored records."""
