"""AWS SageMaker notebook instances."""
