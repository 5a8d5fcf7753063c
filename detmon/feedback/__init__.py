"""What people say of predictions: verdicts on boxes and images, and their history."""
