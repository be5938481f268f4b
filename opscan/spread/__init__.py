"""What a finding reaches: outputs, the loss, and which parameters' gradients."""
